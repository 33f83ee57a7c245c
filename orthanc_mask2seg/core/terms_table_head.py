"""Organs and tissues of the head, of the skeleton and of no one place: data, read by `terms`; see `terms_table`."""

from __future__ import annotations

from orthanc_mask2seg.core.terms_table import Row

# fmt: off
HEAD = (
    Row("12738006", "Brain", "e8c4b8", "brain, encephalon | Gehirn, Hirn | cerveau, encéphale | cerebro, encéfalo | "
        "脑, 大脑 | 脳", "cerebral, cérébral, cérébrale, intracranial"),
    Row("372073000", "Cerebral hemisphere", "dab4a8", "cerebral hemisphere | Großhirnhälfte | hémisphère cérébral | "
        "hemisferio cerebral | 大脑半球 | 大脳半球", paired=True),
    Row("113305005", "Cerebellum", "c8a0c0", "cerebellum | Kleinhirn | cervelet | cerebelo | 小脑 | 小脳",
        "cerebellar"),
    Row("119238007", "Brain Stem", "b890a8", "brainstem, brain stem | Hirnstamm, Stammhirn | tronc cérébral | "
        "tronco encefálico | 脑干 | 脳幹"),
    Row("389081007", "Gray Matter", "a8a0a0", "gray matter, grey matter | graue Substanz | matière grise, "
        "substance grise | sustancia gris | 灰质 | 灰白質", category="tissue"),
    Row("389080008", "White Matter", "efe8dc", "white matter | weiße Substanz | matière blanche, substance blanche | "
        "sustancia blanca | 白质 | 白質", category="tissue"),
    Row("65216001", "Cerebrospinal Fluid", "7ad0f0", "cerebrospinal fluid, CSF | Liquor, Hirnwasser | "
        "liquide céphalorachidien | líquido cefalorraquídeo | 脑脊液 | 髄液, 脳脊髄液", category="body substance"),
    Row("35764002", "Brain ventricle", "60b8e8", "brain ventricle, brain ventricles, cerebral ventricle, "
        "cerebral ventricles | Hirnventrikel | ventricule cérébral, ventricules cérébraux | ventrículo cerebral, "
        "ventrículos cerebrales | 脑室 | 脳室"),
    Row("66720007", "Lateral Ventricle", "68c0f0", "lateral ventricle | Seitenventrikel | ventricule latéral | "
        "ventrículo lateral | 侧脑室 | 側脳室", paired=True),
    Row("83251001", "Frontal lobe", "e8b090", "frontal lobe | Frontallappen, Stirnlappen | lobe frontal | "
        "lóbulo frontal | 额叶 | 前頭葉", paired=True),
    Row("16630005", "Parietal lobe", "d0c090", "parietal lobe | Parietallappen, Scheitellappen | lobe pariétal | "
        "lóbulo parietal | 顶叶 | 頭頂葉", paired=True),
    Row("78277001", "Temporal lobe", "b8d098", "temporal lobe | Temporallappen, Schläfenlappen | lobe temporal | "
        "lóbulo temporal | 颞叶 | 側頭葉", paired=True),
    Row("31065004", "Occipital lobe", "a0b8d8", "occipital lobe | Okzipitallappen, Hinterhauptslappen | "
        "lobe occipital | lóbulo occipital | 枕叶 | 後頭葉", paired=True),
    Row("5366008", "Hippocampus", "d8d048", "hippocampus, hippocampi | Hippokampus | hippocampe | hipocampo | 海马 | "
        "海馬", paired=True),
    Row("4958002", "Amygdala", "48d0c0", "amygdala | Mandelkern | amygdale | amígdala cerebral | 杏仁核 | 扁桃体核",
        paired=True),
    Row("42695009", "Thalamus", "50b060", "thalamus, thalami | Thalamus | thalamus | tálamo | 丘脑 | 視床",
        paired=True),
    Row("11000004", "Caudate Nucleus", "8060d0", "caudate nucleus, caudate | Schweifkern | noyau caudé | "
        "núcleo caudado | 尾状核 | 尾状核", paired=True),
    Row("89278009", "Putamen", "e070b8", "putamen | Putamen | putamen | putamen | 壳核 | 被殻", paired=True),
    Row("14738005", "Globus Pallidus", "3890b8", "globus pallidus, pallidum | Pallidum | pallidum | globo pálido | "
        "苍白球 | 淡蒼球", paired=True),
    Row("88442005", "Corpus callosum", "f0e080", "corpus callosum | Balken | corps calleux | cuerpo calloso | 胼胝体 | "
        "脳梁"),
    Row("56329008", "Pituitary", "d88858", "pituitary, pituitary gland, hypophysis | Hypophyse, Hirnanhangdrüse | "
        "hypophyse | hipófisis | 垂体 | 下垂体"),
    Row("244453006", "Optic chiasm", "f0d040", "optic chiasm, chiasm, chiasma | Sehnervenkreuzung | chiasma optique | "
        "quiasma óptico | 视交叉 | 視交叉"),
    Row("18234004", "optic nerve", "e8c830", "optic nerve | Sehnerv | nerf optique | nervio óptico | 视神经 | 視神経",
        paired=True),
    Row("79652003", "Eyeball", "d8e0f0", "eyeball, eye, eyes, globe | Auge, Augen, Augapfel | œil, yeux, "
        "globe oculaire | "
        "ojo, ojos, globo ocular | 眼, 眼球 | 眼球", paired=True),
    Row("78076003", "Lens", "a8c8f8", "lens, eye lens, lens eye | Augenlinse, Linse | cristallin | cristalino | "
        "晶状体, 晶体 | 水晶体", paired=True),
    Row("45289007", "Parotid gland", "d8a868", "parotid gland, parotid, parotids | Ohrspeicheldrüse, Parotis | "
        "parotide, glande parotide | parótida, glándula parótida | 腮腺 | 耳下腺", paired=True),
    Row("54019009", "Submandibular gland", "c89858", "submandibular gland | Unterkieferspeicheldrüse | "
        "glande sous mandibulaire | glándula submandibular | 颌下腺 | 顎下腺", paired=True),
    Row("69748006", "Thyroid", "c86878", "thyroid, thyroid gland | Schilddrüse | thyroïde, glande thyroïde | "
        "tiroides | "
        "甲状腺 | 甲状腺"),
    Row("4596009", "Larynx", "88b0a8", "larynx | Kehlkopf | larynx | laringe | 喉 | 喉頭", "laryngeal"),
    Row("54066008", "Pharynx", "b89890", "pharynx | Rachen | pharynx | faringe | 咽 | 咽頭"),
    Row("21974007", "Tongue", "d88088", "tongue | Zunge | langue | lengua | 舌 | 舌"),
    Row("38199008", "Tooth", "f8f4e8", "tooth, teeth | Zahn, Zähne | dent, dents | diente, dientes | 牙, 牙齿 | 歯",
        "dental"),
)

SKELETON = (
    Row("3138006", "Bone", "efe3c8", "bone, bones | Knochen | os | hueso, huesos | 骨, 骨骼 | 骨", "osseous, "
        "osseux", category="tissue"),
    Row("89546000", "Skull", "f0e6d0", "skull, cranium | Schädel | crâne | cráneo | 颅骨 | 頭蓋骨"),
    Row("91609006", "Mandible", "e8dcb8", "mandible | Unterkiefer | mandibule | mandíbula | 下颌骨 | 下顎骨",
        "mandibular"),
    Row("70925003", "Maxilla", "e0d4b0", "maxilla | Oberkiefer | maxillaire | maxilar superior | 上颌骨 | 上顎骨"),
    Row("421060004", "Spine", "e6d8b4", "spine, vertebral column | Wirbelsäule | rachis, colonne vertébrale | "
        "columna, columna vertebral | 脊柱 | 脊柱", "spinal"),
    Row("51282000", "Vertebra", "dfd0a8", "vertebra, vertebrae | Wirbel | vertèbre, vertèbres | vértebra, vértebras | "
        "椎骨, 椎体 | 椎骨, 椎体", "vertebral"),
    Row("122494005", "Cervical spine", "e2d4ac", "cervical spine | Halswirbelsäule, HWS | rachis cervical | "
        "columna cervical | 颈椎 | 頸椎"),
    Row("122495006", "Thoracic spine", "dccca0", "thoracic spine | Brustwirbelsäule, BWS | rachis thoracique | "
        "columna torácica | 胸椎 | 胸椎"),
    Row("122496007", "Lumbar spine", "d6c698", "lumbar spine | Lendenwirbelsäule, LWS | rachis lombaire | "
        "columna lumbar | 腰椎 | 腰椎"),
    Row("54735007", "Sacrum", "d0be90", "sacrum | Kreuzbein | sacrum | sacro | 骶骨 | 仙骨", "sacral"),
    Row("113197003", "Rib", "eadfc0", "rib, ribs | Rippe, Rippen | côte, côtes | costilla, costillas | 肋骨, 肋 | 肋骨",
        "costal", paired=True),
    Row("50016007", "Costal Cartilage", "c8d8d0", "costal cartilage, costal cartilages | Rippenknorpel | "
        "cartilage costal, cartilages costaux | cartílago costal, cartílagos costales | 肋软骨 | 肋軟骨"),
    Row("56873002", "Sternum", "e4d6b0", "sternum, breastbone | Brustbein | sternum | esternón | 胸骨 | 胸骨"),
    Row("51299004", "Clavicle", "ece0bc", "clavicle, clavicula, collarbone | Schlüsselbein | clavicule | clavícula | "
        "锁骨 | 鎖骨", paired=True),
    Row("79601000", "Scapula", "e0d0a0", "scapula, shoulder blade | Schulterblatt | scapula, omoplate | escápula | "
        "肩胛骨 | 肩甲骨", paired=True),
    Row("85050009", "Humerus", "eadcb0", "humerus | Oberarmknochen | humérus | húmero | 肱骨 | 上腕骨", paired=True),
    Row("62413002", "Radius", "e6d6a8", "radius bone, radius | Speiche | radius | hueso radio | 桡骨 | 橈骨",
        paired=True),
    Row("23416004", "Ulna", "dece9c", "ulna | Elle | ulna, cubitus | cúbito, ulna | 尺骨 | 尺骨", paired=True),
    Row("29836001", "Hip", "d8c8a0", "hip, hip region | Hüfte | hanche | cadera | 髋 | 股関節", paired=True),
    Row("3138006", "Bone", "d8c8a0", "hip bone, pelvic bone | Hüftknochen, Hüftbein | os coxal | hueso coxal | 髋骨 | "
        "寛骨", paired=True, region=("29836001", "Hip")),
    Row("71341001", "Femur", "f0e4bc", "femur, thigh bone | Oberschenkelknochen | fémur | fémur | 股骨 | 大腿骨",
        "femoral", paired=True),
    Row("64234005", "Patella", "e8d8b0", "patella, kneecap | Kniescheibe | rotule, patella | rótula | 髌骨 | 膝蓋骨",
        paired=True),
    Row("12611008", "Tibia", "ecdcb4", "tibia, shin bone | Schienbein | tibia | tibia | 胫骨 | 脛骨", paired=True),
    Row("87342007", "Fibula", "e4d4a8", "fibula | Wadenbein | fibula, péroné | peroné, fíbula | 腓骨 | 腓骨",
        paired=True),
    Row("2748008", "Spinal cord", "f0d860", "spinal cord | Rückenmark | moelle épinière | médula espinal | "
        "脊髓 | 脊髄"),
    Row("61853006", "Vertebral canal", "d8c050", "spinal canal, vertebral canal | Spinalkanal, Wirbelkanal | "
        "canal rachidien, canal vertébral | canal espinal, canal raquídeo | 椎管 | 脊柱管"),
)

TISSUES = (
    Row("91727004", "Muscle", "b5524a", "muscle, muscles | Muskel, Muskeln, Muskulatur | muscle, muscles | músculo, "
        "músculos | 肌肉, 肌 | 筋肉, 筋", "muscular", category="tissue"),
    Row("127954009", "Skeletal muscle", "a84a42", "skeletal muscle, skeletal muscles | Skelettmuskel, "
        "Skelettmuskulatur | muscle squelettique | músculo esquelético | 骨骼肌 | 骨格筋", category="tissue"),
    Row("44947003", "Erector spinae muscle", "b8605a", "erector spinae, erector spinae muscle, autochthon, "
        "autochthonous "
        "back muscle | Rückenstrecker | érecteur rachis | erector columna | 竖脊肌 | 脊柱起立筋", paired=True),
    Row("127954009", "Skeletal muscle", "c06a52", "iliopsoas, iliopsoas muscle, psoas, psoas muscle | Psoasmuskel | "
        "muscle psoas | músculo psoas | 腰大肌 | 腸腰筋, 大腰筋", paired=True),
    Row("127954009", "Skeletal muscle", "c87058", "gluteus maximus, gluteus medius, gluteus minimus, gluteal muscle | "
        "Gesäßmuskel, Glutealmuskulatur | muscle fessier | músculo glúteo | 臀肌 | 臀筋", paired=True,
        region=("46862004", "Buttock")),
    Row("55603005", "Fat", "f0dc82", "fat, adipose tissue | Fett, Fettgewebe | graisse, tissu adipeux | grasa, "
        "tejido adiposo | 脂肪 | 脂肪", category="tissue"),
    Row("71966008", "Subcutaneous tissue", "f4e6a0", "subcutaneous tissue, subcutis | Unterhaut | tissu sous cutané | "
        "tejido subcutáneo | 皮下组织 | 皮下組織", category="tissue"),
    Row("39937001", "Skin", "e8b898", "skin | Haut | peau | piel | 皮肤 | 皮膚", "cutaneous", category="tissue"),
    Row("59441001", "Lymph Node", "7ab85a", "lymph node, lymph nodes | Lymphknoten | ganglion lymphatique, "
        "ganglions lymphatiques | ganglio linfático, ganglios linfáticos | 淋巴结 | リンパ節", kind="part",
        category="tissue"),
    Row("87612001", "Blood", "8a1010", "blood | Blut | sang | sangre | 血液 | 血液", category="body substance"),
    Row("38266002", "Entire body", "d8c0a8", "body, whole body, body contour | Körper, Ganzkörper | corps, "
        "corps entier | "
        "cuerpo, cuerpo entero | 全身 | 全身", kind="body"),
)


def _liver_segments() -> tuple[Row, ...]:
    codes = ("71133005", "277956007", "277957003", "277958008", "277959000", "277960005", "277961009", "277962002")
    romans = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")
    colours = ("9c4b3c", "b0604a", "8a5a3c", "c07050", "a05050", "b88058", "904038", "a86848")
    return tuple(
        Row(code, f"Couinaud hepatic segment {roman}", colour,
            f"liver segment {number}, liver segment {roman}, hepatic segment {number}, hepatic segment {roman}, "
            f"Couinaud segment {number}, Couinaud segment {roman} | Lebersegment {number}, Lebersegment {roman} | "
            f"segment hépatique {number}, segment hépatique {roman} | segmento hepático {number}, "
            f"segmento hepático {roman} | 肝{number}段 | 肝区域{number}")
        for number, (code, roman, colour) in enumerate(zip(codes, romans, colours, strict=True), start=1)
    )


_VERTEBRAE = {
    "C": ("14806007", "39976000", "113205007", "5329002", "36978003", "36054005", "87391001"),
    "T": ("64864005", "53733008", "1626008", "73071006", "56401006", "45296009", "62487009", "11068009", "82687006",
          "7610001", "12989004", "23215003"),
    "L": ("66794005", "14293000", "36470004", "11994002", "49668003"),
}
_NAMED = {
    "C": ("cervical", "HWK", "颈", "頸"),
    "T": ("thoracic", "BWK", "胸", "胸"),
    "L": ("lumbar", "LWK", "腰", "腰"),
}


def _vertebrae() -> tuple[Row, ...]:
    rows = []
    for letter, codes in _VERTEBRAE.items():
        english, german, chinese, japanese = _NAMED[letter]
        for n, code in enumerate(codes, start=1):
            name = f"{letter}{n}"
            also = f", vertebra Th{n}, vertebra D{n}" if letter == "T" else ""
            colour = f"{230 - 5 * n:02x}{216 - 5 * n:02x}{(176 if n % 2 else 150) - 3 * n:02x}"
            words = (
                f"{name} vertebra, vertebrae {name}, {english} vertebra {n}{also} | {german}{n}, {german} {n}, "
                f"Wirbel {name} | vertèbre {name} | vértebra {name} | {name}椎体, 第{n}{chinese}椎 | 第{n}{japanese}椎"
            )
            rows.append(Row(code, f"{name} vertebra", colour, words))
    return tuple(rows)


LIVER_SEGMENTS = _liver_segments()
VERTEBRAE = _vertebrae()
