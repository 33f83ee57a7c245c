"""Organs and tissues with their codes, colours and names: data, read by `terms`.

Code values and meanings are those of the DICOM context groups (PS3.16 CID 7150, 7151, 7192, 8134, 12305), and a test
checks each against pydicom's dictionaries. Names: English | German | French | Spanish | Chinese | Japanese.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """One row of a table.

    Attributes
    ----------
    code, meaning
        Of the property type, SNOMED CT unless `scheme` says otherwise.
    colour
        sRGB, hexadecimal.
    words
        Names in six languages; the first is the canonical one.
    adjectives
        Words that name it only beside a finding ("hepatic cyst").
    paired
        There is a left one and a right one.
    kind
        organ; part (of organs: "vessels of the liver"); finding; target (of radiotherapy).
    region
        Code and meaning of the anatomic region, where the type alone is wider than what is meant.
    """

    code: str
    meaning: str
    colour: str
    words: str
    adjectives: str = ""
    paired: bool = False
    kind: str = "organ"
    category: str = "anatomical structure"
    scheme: str = "SCT"
    region: tuple[str, str] | None = None


# fmt: off
ABDOMEN = (
    Row("10200004", "Liver", "9c4b3c", "liver, hepar | Leber | foie | hígado | 肝, 肝脏 | 肝臓",
        "hepatic, hépatique, hepático, hepática"),
    Row("78961009", "Spleen", "8e3a59", "spleen, lien | Milz | rate | bazo | 脾, 脾脏 | 脾臓",
        "splenic, splénique, esplénico"),
    Row("64033007", "Kidney", "b5503c", "kidney, kidneys, ren | Niere, Nieren | rein, reins | riñón, riñones | "
        "肾, 肾脏 | 腎, 腎臓", "renal, rénal, rénale, rénaux", paired=True),
    Row("25990002", "Renal pelvis", "e3c46a", "renal pelvis | Nierenbecken | bassinet | pelvis renal | 肾盂 | 腎盂",
        paired=True),
    Row("23451007", "Adrenal gland", "e8a33d", "adrenal gland, adrenal, adrenals, suprarenal gland, surrenal gland | "
        "Nebenniere, Nebennieren | surrénale, glande surrénale | glándula suprarrenal, suprarrenal | 肾上腺 | 副腎",
        paired=True),
    Row("28231008", "Gallbladder", "6b9e3f", "gallbladder, gall bladder | Gallenblase | vésicule biliaire | "
        "vesícula biliar | 胆囊 | 胆嚢"),
    Row("28273000", "Bile duct", "7fb04a", "bile duct, bile ducts | Gallengang, Gallengänge | voie biliaire, "
        "voies biliaires | vía biliar, conducto biliar | 胆管 | 胆道"),
    Row("69695003", "Stomach", "d98c8c", "stomach | Magen | estomac | estómago | 胃 | 胃袋", "gastric, gastrique, "
        "gástrico"),
    Row("15776009", "Pancreas", "e0b070", "pancreas | Bauchspeicheldrüse, Pankreas | pancréas | páncreas | 胰, 胰腺 | "
        "膵, 膵臓", "pancreatic, pancréatique, pancreático"),
    Row("69930009", "Pancreatic duct", "c9d27a", "pancreatic duct | Pankreasgang | canal pancréatique | "
        "conducto pancreático | 胰管 | 膵管"),
    Row("32849002", "Esophagus", "c98f7a", "esophagus, oesophagus | Speiseröhre, Ösophagus | œsophage | esófago | "
        "食管, 食道 | 食道", "esophageal, oesophageal"),
    Row("38848004", "Duodenum", "d8a07a", "duodenum | Zwölffingerdarm | duodénum | duodeno | 十二指肠 | 十二指腸",
        "duodenal"),
    Row("30315005", "Small intestine", "e3b59b", "small bowel, small intestine, small intestin | Dünndarm | "
        "intestin grêle, grêle | intestino delgado | 小肠 | 小腸"),
    Row("21306003", "Jejunum", "e0a58a", "jejunum | Leerdarm | jéjunum | yeyuno | 空肠 | 空腸"),
    Row("34516001", "Ileum", "d99a86", "ileum | Krummdarm | iléon | íleon | 回肠 | 回腸"),
    Row("14742008", "Large intestine", "c98a5e", "large intestine, large bowel | Dickdarm | gros intestin | "
        "intestino grueso | 大肠 | 大腸"),
    Row("71854001", "Colon", "c47f52", "colon | Kolon, Grimmdarm | côlon | colon | 结肠 | 結腸", "colonic"),
    Row("60184004", "Sigmoid colon", "b9744a", "sigmoid colon, sigmoid | Sigma | côlon sigmoïde, sigmoïde | "
        "colon sigmoide, sigmoide | 乙状结肠 | S状結腸"),
    Row("34402009", "Rectum", "a8623f", "rectum | Mastdarm, Enddarm, Rektum | rectum | recto | 直肠 | 直腸", "rectal"),
    Row("66754008", "Appendix", "c7a05a", "appendix | Wurmfortsatz | appendice | apéndice | 阑尾 | 虫垂"),
    Row("27398004", "Omentum", "ead9a0", "omentum | großes Netz | omentum, épiploon | epiplón, omento | 网膜 | 大網"),
    Row("83670000", "Peritoneal cavity", "b8c8d8", "peritoneal cavity | Bauchhöhle | cavité péritonéale | "
        "cavidad peritoneal | 腹腔 | 腹腔", "peritoneal"),
    Row("82849001", "Retroperitoneal space", "c9bfa5", "retroperitoneum, retroperitoneal space | Retroperitoneum | "
        "rétropéritoine | retroperitoneo | 腹膜后 | 後腹膜", "retroperitoneal"),
)

PELVIS = (
    Row("89837001", "Bladder", "e6d35c", "urinary bladder, bladder | Harnblase, Blase | vessie | vejiga, "
        "vejiga urinaria | 膀胱 | 膀胱"),
    Row("87953007", "Ureter", "d8bf50", "ureter, ureters | Harnleiter | uretère | uréter | 输尿管 | 尿管", paired=True),
    Row("13648007", "Urethra", "cfae45", "urethra | Harnröhre | urètre | uretra | 尿道 | 尿道"),
    Row("41216001", "Prostate", "d07f9a", "prostate, prostate gland | Prostata, Vorsteherdrüse | prostate | próstata | "
        "前列腺 | 前立腺", "prostatic, prostatique, prostático"),
    Row("64739004", "Seminal Vesicle", "c58fb5", "seminal vesicle, seminal vesicles | Samenblase, Samenblasen | "
        "vésicule séminale, vésicules séminales | vesícula seminal, vesículas seminales | 精囊 | 精嚢", paired=True),
    Row("35039007", "Uterus", "d9779a", "uterus | Gebärmutter | utérus | útero | 子宫 | 子宮", "uterine, utérin"),
    Row("71252005", "Cervix", "b95f8a", "cervix, uterine cervix, cervix uteri | Gebärmutterhals, Zervix | "
        "col utérin | cuello uterino | 宫颈, 子宫颈 | 子宮頸部"),
    Row("15497006", "Ovary", "eeb7c8", "ovary, ovaries | Eierstock, Eierstöcke, Ovar | ovaire, ovaires | "
        "ovario, ovarios | 卵巢 | 卵巣", "ovarian, ovarien", paired=True),
    Row("76784001", "Vagina", "c8698f", "vagina | Scheide | vagin | vagina | 阴道 | 膣"),
    Row("40689003", "Testis", "d6b48a", "testis, testes, testicle, testicles | Hoden | testicule | testículo | 睾丸 | "
        "精巣", "testicular", paired=True),
    Row("18911002", "Penis", "cfa58f", "penis | Penis | pénis | pene | 阴茎 | 陰茎"),
)

THORAX = (
    Row("39607008", "Lung", "8fb8d9", "lung, lungs, pulmo | Lunge, Lungen | poumon, poumons | pulmón, pulmones | "
        "肺, 肺脏 | 肺", "pulmonary, pulmonaire, pulmonar", paired=True),
    Row("45653009", "Upper lobe of lung", "9fd0e6", "lung upper lobe, upper lobe, superior lobe lung | Oberlappen, "
        "Lungenoberlappen | lobe supérieur, lobe supérieur poumon | lóbulo superior, lóbulo superior pulmón | "
        "肺上叶, 上叶 | 肺上葉, 上葉", paired=True),
    Row("72481006", "Middle lobe of right lung", "7fa8e0", "right middle lobe, lung middle lobe right, middle lobe, "
        "lung middle lobe | Mittellappen, Mittellappen rechts | lobe moyen, lobe moyen droit | lóbulo medio, "
        "lóbulo medio derecho | 右肺中叶, 中叶 | 右肺中葉, 中葉"),
    Row("90572001", "Lower lobe of lung", "6f98c8", "lung lower lobe, lower lobe, inferior lobe lung | Unterlappen, "
        "Lungenunterlappen | lobe inférieur, lobe inférieur poumon | lóbulo inferior, lóbulo inferior pulmón | "
        "肺下叶, 下叶 | 肺下葉, 下葉", paired=True),
    Row("44567001", "Trachea", "a5d8cf", "trachea, windpipe | Luftröhre | trachée | tráquea | 气管 | 気管"),
    Row("955009", "Bronchus", "7cc4bd", "bronchus, bronchi, bronchial tree | Bronchus, Bronchien, Bronchialbaum | "
        "bronche, bronches | bronquio, bronquios | 支气管 | 気管支", "bronchial", paired=True),
    Row("89187006", "Airway structure", "b0e0dd", "airway, airways | Atemwege | voies aériennes | vías aéreas, "
        "vía aérea | 气道 | 気道"),
    Row("3120008", "Pleura", "c5dbe8", "pleura | Brustfell | plèvre | pleura | 胸膜 | 胸膜", "pleural, pleurale"),
    Row("72410000", "Mediastinum", "cbb5a0", "mediastinum | Mittelfell | médiastin | mediastino | 纵隔 | 縦隔",
        "mediastinal, médiastinal"),
    Row("5798000", "Diaphragm", "b87a6a", "diaphragm | Zwerchfell | diaphragme | diafragma | 膈肌 | 横隔膜"),
    Row("9875009", "Thymus", "d8c0c8", "thymus | Thymusdrüse | thymus | timo | 胸腺 | 胸腺", "thymic"),
    Row("76752008", "Breast", "f0c4b0", "breast, breasts, mamma | Brustdrüse | sein, seins | mama, mamas | 乳腺, "
        "乳房 | "
        "乳腺, 乳房", "mammary, mammaire", paired=True),
    Row("80891009", "Heart", "c5392f", "heart | Herz | cœur | corazón | 心, 心脏 | 心臓",
        "cardiac, cardiaque, cardíaco"),
    Row("87878005", "Left ventricle", "b02c4a", "left ventricle, heart ventricle left, left ventricle heart | "
        "linker Ventrikel, linke Herzkammer | ventricule gauche | ventrículo izquierdo | 左心室 | 左室"),
    Row("53085002", "Right ventricle", "6e4fa0", "right ventricle, heart ventricle right, right ventricle heart | "
        "rechter Ventrikel, rechte Herzkammer | ventricule droit | ventrículo derecho | 右心室 | 右室"),
    Row("82471001", "Left atrium", "e0657a", "left atrium, heart atrium left, left atrium heart | linker Vorhof | "
        "oreillette gauche | aurícula izquierda | 左心房 | 左房"),
    Row("73829009", "Right atrium", "8a73c4", "right atrium, heart atrium right, right atrium heart | rechter Vorhof | "
        "oreillette droite | aurícula derecha | 右心房 | 右房"),
    Row("49848007", "Left Ventricle Myocardium", "a8322c", "left ventricle myocardium, left ventricular myocardium, "
        "LV myocardium | linksventrikuläres Myokard | myocarde ventricule gauche | miocardio ventrículo izquierdo | "
        "左心室心肌 | 左室心筋"),
    Row("33626005", "Left auricular appendage", "f08aa0", "left atrial appendage, atrial appendage left, "
        "left auricular appendage | linkes Herzohr | auricule gauche | orejuela izquierda | 左心耳 | 左心耳"),
    Row("68300000", "Right auricular appendage", "a895d8", "right atrial appendage, atrial appendage right, "
        "right auricular appendage | rechtes Herzohr | auricule droite | orejuela derecha | 右心耳 | 右心耳"),
    Row("76848001", "Pericardium", "d9a08a", "pericardium | Herzbeutel, Perikard | péricarde | pericardio | 心包 | "
        "心膜", "pericardial"),
)

VESSELS = (
    Row("59820001", "Blood Vessel", "c04545", "blood vessel, blood vessels, vessel, vessels | Gefäß, Gefäße, "
        "Blutgefäß, "
        "Blutgefäße | vaisseau, vaisseaux | vaso, vasos | 血管 | 血管", kind="part", category="tissue"),
    Row("51114001", "Artery", "d02020", "artery, arteries | Arterie, Arterien | artère, artères | arteria, arterias | "
        "动脉 | 動脈", "arterial", category="tissue"),
    Row("29092000", "Vein", "3a62c8", "vein, veins, venous system | Vene, Venen | veine, veines | vena, venas | "
        "静脉 | 静脈", category="tissue"),
    Row("15825003", "Aorta", "d83a2a", "aorta | Hauptschlagader | aorte | aorta | 主动脉 | 大動脈", "aortic, aortique"),
    Row("54247002", "Ascending aorta", "e0503a", "ascending aorta, aorta ascendens | aufsteigende Aorta | "
        "aorte ascendante | aorta ascendente | 升主动脉 | 上行大動脈"),
    Row("57034009", "Aortic arch", "e86a50", "aortic arch, arch aorta | Aortenbogen | crosse aorte, arc aortique | "
        "arco aórtico | 主动脉弓 | 大動脈弓"),
    Row("32672002", "Descending aorta", "c43224", "descending aorta, aorta descendens | absteigende Aorta | "
        "aorte descendante | aorta descendente | 降主动脉 | 下行大動脈"),
    Row("113262008", "Thoracic aorta", "d04a34", "thoracic aorta | thorakale Aorta, Brustaorta | aorte thoracique | "
        "aorta torácica | 胸主动脉 | 胸部大動脈"),
    Row("7832008", "Abdominal aorta", "b82a1e", "abdominal aorta | Bauchaorta | aorte abdominale | aorta abdominal | "
        "腹主动脉 | 腹部大動脈"),
    Row("41801008", "Coronary artery", "f04030", "coronary artery, coronary arteries, coronaries | Koronararterie, "
        "Koronararterien, Herzkranzgefäße | artère coronaire, artères coronaires | arteria coronaria, "
        "arterias coronarias | 冠状动脉 | 冠動脈", "coronary"),
    Row("81040000", "Pulmonary artery", "4a70d0", "pulmonary artery, pulmonary arteries | Lungenarterie, "
        "Pulmonalarterie | artère pulmonaire | arteria pulmonar | 肺动脉 | 肺動脈"),
    Row("122972007", "Pulmonary vein", "d86060", "pulmonary vein, pulmonary veins | Lungenvene, Lungenvenen | "
        "veine pulmonaire, veines pulmonaires | vena pulmonar, venas pulmonares | 肺静脉 | 肺静脈"),
    Row("35532006", "Vena cava", "3050b8", "vena cava, venacava, caval vein | Hohlvene | veine cave | vena cava | "
        "腔静脉 | 大静脈"),
    Row("48345005", "Superior vena cava", "4468d8", "superior vena cava, SVC | obere Hohlvene | "
        "veine cave supérieure | vena cava superior | 上腔静脉 | 上大静脈"),
    Row("64131007", "Inferior vena cava", "2848b0", "inferior vena cava, IVC | untere Hohlvene | "
        "veine cave inférieure | vena cava inferior | 下腔静脉 | 下大静脈"),
    Row("32764006", "Portal vein", "5a78e0", "portal vein | Pfortader | veine porte | vena porta | 门静脉 | 門脈"),
    Row("35819009", "Splenic vein", "6a88d8", "splenic vein | Milzvene | veine splénique | vena esplénica | 脾静脉 | "
        "脾静脈"),
    Row("8993003", "Hepatic vein", "4880c8", "hepatic vein, hepatic veins | Lebervene, Lebervenen | "
        "veine hépatique, veines sus hépatiques | vena hepática, venas hepáticas | 肝静脉 | 肝静脈"),
    Row("76015000", "Hepatic artery", "e05858", "hepatic artery | Leberarterie | artère hépatique | "
        "arteria hepática | 肝动脉 | 肝動脈"),
    Row("57850000", "Celiac Axis", "e87868", "celiac trunk, coeliac trunk, celiac axis | Truncus coeliacus | "
        "tronc cœliaque | tronco celíaco | 腹腔干 | 腹腔動脈"),
    Row("42258001", "Superior mesenteric artery", "d86858", "superior mesenteric artery, SMA | "
        "obere Mesenterialarterie | artère mésentérique supérieure | arteria mesentérica superior | 肠系膜上动脉 | "
        "上腸間膜動脈"),
    Row("90771006", "Superior Mesenteric Vein", "5870c8", "superior mesenteric vein, SMV | obere Mesenterialvene | "
        "veine mésentérique supérieure | vena mesentérica superior | 肠系膜上静脉 | 上腸間膜静脈"),
    Row("2841007", "Renal artery", "e06048", "renal artery | Nierenarterie | artère rénale | arteria renal | 肾动脉 | "
        "腎動脈", paired=True),
    Row("56400007", "Renal vein", "4060c0", "renal vein | Nierenvene | veine rénale | vena renal | 肾静脉 | 腎静脈",
        paired=True),
    Row("10293006", "Iliac artery", "c83838", "iliac artery, iliac arteries | Beckenarterie | artère iliaque | "
        "arteria ilíaca | 髂动脉 | 腸骨動脈", paired=True),
    Row("244411005", "Iliac vein", "3858c8", "iliac vein, iliac vena, iliac veins | Beckenvene | veine iliaque | "
        "vena ilíaca | 髂静脉 | 腸骨静脈", paired=True),
    Row("12691009", "Innominate artery", "e04848", "brachiocephalic trunk, brachiocephalic artery, innominate artery | "
        "Truncus brachiocephalicus | tronc brachiocéphalique | tronco braquiocefálico | 头臂干 | 腕頭動脈"),
    Row("8887007", "Innominate vein", "4870e0", "brachiocephalic vein, innominate vein | Vena brachiocephalica | "
        "veine brachiocéphalique | vena braquiocefálica | 头臂静脉 | 腕頭静脈", paired=True),
    Row("36765005", "Subclavian artery", "d85040", "subclavian artery | Schlüsselbeinarterie | artère sous clavière | "
        "arteria subclavia | 锁骨下动脉 | 鎖骨下動脈", paired=True),
    Row("69105007", "Carotid Artery", "e83838", "carotid artery, carotid, carotids | Karotis, Halsschlagader | "
        "carotide, artère carotide | carótida, arteria carótida | 颈动脉 | 頸動脈", paired=True),
    Row("32062004", "Common carotid artery", "f05048", "common carotid artery | gemeinsame Halsschlagader | "
        "carotide commune, artère carotide commune | carótida común, arteria carótida común | 颈总动脉 | 総頸動脈",
        paired=True),
    Row("86117002", "Internal carotid artery", "f86058", "internal carotid artery | innere Halsschlagader | "
        "carotide interne, artère carotide interne | carótida interna, arteria carótida interna | 颈内动脉 | 内頸動脈",
        paired=True),
    Row("12123001", "Internal jugular vein", "5080e8", "internal jugular vein, jugular vein internal | "
        "Vena jugularis interna | veine jugulaire interne | vena yugular interna | 颈内静脉 | 内頸静脈", paired=True),
    Row("85234005", "Vertebral artery", "d07058", "vertebral artery | Wirbelarterie | artère vertébrale | "
        "arteria vertebral | 椎动脉 | 椎骨動脈", paired=True),
)
