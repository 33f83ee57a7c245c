"""Findings, devices and radiotherapy targets with their codes: data, read by `terms`; see `terms_table`.

Findings are of PS3.16 CID 7159 where it has them, targets of CID 9534 and 9535 in the category of CID 9580.
"""

from __future__ import annotations

from orthanc_mask2seg.core.terms_table import Row


def _finding(code: str, meaning: str, colour: str, words: str, scheme: str = "SCT") -> Row:
    return Row(
        code, meaning, colour, words, kind="finding", category="morphologically abnormal structure", scheme=scheme
    )


# fmt: off
FINDINGS = (
    _finding("108369006", "Neoplasm", "ff8c1a", "neoplasm, tumor, tumors, tumour, tumours | Tumor, Tumoren, "
             "Neoplasie | tumeur, tumeurs, néoplasie | tumor, tumores | 肿瘤 | 腫瘍"),
    _finding("372087000", "Neoplasm, Primary", "ff7a00", "primary tumor, primary tumour, primary neoplasm | "
             "Primärtumor | tumeur primitive | tumor primario | 原发肿瘤 | 原発腫瘍, 原発巣"),
    _finding("14799000", "Neoplasm, Secondary", "f05a28", "metastasis, metastases | Metastase, Metastasen | "
             "métastase, métastases | metástasis | 转移瘤 | 転移, 転移巣"),
    _finding("1187425009", "Carcinoma", "f07818", "carcinoma | Karzinom | carcinome | carcinoma | 癌 | 癌"),
    _finding("1187375007", "Adenoma", "f0a050", "adenoma | Adenom | adénome | adenoma | 腺瘤 | 腺腫"),
    _finding("1163375002", "Glioblastoma", "f06a10", "glioblastoma, GBM | Glioblastom | glioblastome | glioblastoma | "
             "胶质母细胞瘤 | 膠芽腫"),
    _finding("400210000", "Hemangioma", "d83878", "hemangioma, haemangioma | Hämangiom | hémangiome | hemangioma | "
             "血管瘤 | 血管腫"),
    _finding("52988006", "Lesion", "ffc030", "lesion, lesions | Läsion, Läsionen, Herd | lésion, lésions | lesión, "
             "lesiones | 病灶, 病变 | 病変"),
    _finding("4147007", "Mass", "f8a820", "mass, masses | Raumforderung | masse, masses | masa, masas | 肿块 | 腫瘤"),
    _finding("27925004", "Nodule", "f8b848", "nodule, nodules | Rundherd, Rundherde, Knoten | nodule, nodules | "
             "nódulo, "
             "nódulos | 结节 | 結節"),
    _finding("367643001", "Cyst", "40c8d8", "cyst, cysts | Zyste, Zysten | kyste, kystes | quiste, quistes | 囊肿 | "
             "嚢胞"),
    _finding("44132006", "Abscess", "b8c020", "abscess, abscesses | Abszess, Abszesse | abcès | absceso, abscesos | "
             "脓肿 | "
             "膿瘍"),
    _finding("35566002", "Hematoma", "902038", "hematoma, haematoma | Hämatom, Bluterguss | hématome | hematoma | "
             "血肿 | "
             "血腫"),
    _finding("50960005", "Hemorrhage", "a81028", "hemorrhage, haemorrhage, bleeding | Blutung | hémorragie | "
             "hemorragia | 出血 | 出血"),
    _finding("79654002", "Edema", "70c8a8", "edema, oedema | Ödem | œdème | edema | 水肿 | 浮腫"),
    _finding("6574001", "Necrosis", "787058", "necrosis | Nekrose | nécrose | necrosis | 坏死 | 壊死"),
    _finding("409774005", "Inflammation", "e86850", "inflammation | Entzündung | inflammation | inflamación | 炎症 | "
             "炎症"),
    _finding("396339007", "Thrombus", "603050", "thrombus, thrombi, thrombosis | Thrombus, Thrombose | thrombus, "
             "thrombose | trombo, trombosis | 血栓 | 血栓"),
    _finding("55584005", "Embolus", "502858", "embolus, emboli, embolism | Embolus, Embolie | embole, embolie | "
             "émbolo, "
             "embolia | 栓子 | 塞栓"),
    _finding("85659009", "aneurysm", "e02868", "aneurysm | Aneurysma | anévrisme, anévrysme | aneurisma | 动脉瘤 | "
             "動脈瘤"),
    _finding("1522000", "plaque", "e8d070", "plaque, plaques | Plaque, Plaques | plaque | placa, placas | 斑块 | "
             "プラーク"),
    _finding("60046008", "Pleural effusion", "58a8e0", "pleural effusion | Pleuraerguss | épanchement pleural | "
             "derrame pleural | 胸腔积液 | 胸水"),
    _finding("373945007", "Pericardial effusion", "6898e8", "pericardial effusion | Perikarderguss | "
             "épanchement péricardique | derrame pericárdico | 心包积液 | 心嚢液"),
    _finding("36118008", "Pneumothorax", "98d0f8", "pneumothorax | Pneumothorax | pneumothorax | neumotórax | 气胸 | "
             "気胸"),
    _finding("112120", "Ground glass opacity", "a8c8b0", "ground glass opacity, GGO | Milchglastrübung | "
             "verre dépoli | "
             "vidrio esmerilado | 磨玻璃影 | すりガラス影", "DCM"),
    _finding("112121", "Infiltrate", "88b890", "infiltrate | Infiltrat | infiltrat | infiltrado | 浸润 | "
             "浸潤影", "DCM"),
    _finding("12402003", "Scar tissue", "c0a890", "scar, scar tissue | Narbe | cicatrice | cicatriz | 瘢痕 | 瘢痕"),
)

_DEVICE = "physical object"
DEVICES = (
    Row("40388003", "Implant", "98a8b8", "implant, implants | Implantat | implant | implante | 植入物 | インプラント",
        kind="finding", category=_DEVICE),
    Row("65818007", "Stent", "88a0c0", "stent, stents | Stent | stent | stent | 支架 | ステント", kind="finding",
        category=_DEVICE),
    Row("19923001", "Catheter", "80c0c8", "catheter | Katheter | cathéter | catéter | 导管 | "
        "カテーテル", kind="finding",
        category=_DEVICE),
    Row("14106009", "Cardiac pacemaker", "7890a8", "pacemaker, cardiac pacemaker | Herzschrittmacher | "
        "stimulateur cardiaque | marcapasos | 起搏器 | ペースメーカー", kind="finding", category=_DEVICE),
)


def _target(code: str, meaning: str, colour: str, words: str, scheme: str = "DCM") -> Row:
    return Row(code, meaning, colour, words, kind="target", category="rt target", scheme=scheme)


TARGETS = (
    _target("228791009", "GTV", "ff3b30", "GTV, gross tumor volume, gross tumour volume | "
            "makroskopisches Tumorvolumen | "
            "volume tumoral macroscopique | volumen tumoral macroscópico | 大体肿瘤体积 | 肉眼的腫瘍体積", "SCT"),
    _target("130052", "GTV Primary", "ff4a3a", "GTVp, GTV p, GTV t, GTV primary"),
    _target("130051", "GTV Nodal", "ff6a50", "GTVn, GTV n, GTV nodal, GTV node, GTV nodes"),
    _target("228792002", "CTV", "ff9f0a", "CTV, clinical target volume | klinisches Zielvolumen | "
            "volume cible clinique | volumen blanco clínico | 临床靶体积 | 臨床標的体積", "SCT"),
    _target("130050", "CTV Primary", "ffa828", "CTVp, CTV p, CTV t, CTV primary"),
    _target("130049", "CTV Nodal", "ffb848", "CTVn, CTV n, CTV nodal, CTV node, CTV nodes"),
    _target("228793007", "PTV", "ffd60a", "PTV, planning target volume | Planungszielvolumen | "
            "volume cible prévisionnel | volumen blanco planificado | 计划靶体积 | 計画標的体積", "SCT"),
    _target("130054", "PTV Primary", "ffdc30", "PTVp, PTV p, PTV t, PTV primary"),
    _target("130053", "PTV Nodal", "ffe458", "PTVn, PTV n, PTV nodal, PTV node, PTV nodes"),
    _target("130056", "ITV", "e8c020", "ITV, internal target volume"),
)
