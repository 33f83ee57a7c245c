"""The features of the Image Biomarker Standardisation Initiative (IBSI) that are calculated, one row each.

Codes are the permanent identifiers of the IBSI reference manual (version 11, CC BY 4.0). Names are those of DICOM
(PS3.16 annex D, coding scheme IBSI) where DICOM has the code. The last column but one is the name that pyradiomics has
for the same definition.
"""

from __future__ import annotations

from typing import NamedTuple


class FeatureRow(NamedTuple):
    """One feature.

    Attributes
    ----------
    tag
        What the engine calls it, without the suffix of the aggregation.
    pyradiomics
        Class and feature there; '' where pyradiomics has none, or another definition.
    unit
        UCUM; `I` stands for the unit of the image, `I2` for its square.
    """

    tag: str
    code: str
    name: str
    pyradiomics: str
    unit: str


FEATURES = (
    FeatureRow("morph_volume", "RNU0", "Volume of Mesh", "shape_MeshVolume", "mm3"),
    FeatureRow("morph_vol_approx", "YEKZ", "Volume from Voxel Summation", "shape_VoxelVolume", "mm3"),
    FeatureRow("morph_area_mesh", "C0JK", "Surface Area of Mesh", "shape_SurfaceArea", "mm2"),
    FeatureRow("morph_av", "2PR5", "Surface to Volume Ratio", "shape_SurfaceVolumeRatio", "/mm"),
    FeatureRow("morph_comp_1", "SKGS", "Compactness 1", "", "1"),
    FeatureRow("morph_comp_2", "BQWJ", "Compactness 2", "", "1"),
    FeatureRow("morph_sph_dispr", "KRCK", "Spherical Disproportion", "", "1"),
    FeatureRow("morph_sphericity", "QCFX", "Sphericity", "shape_Sphericity", "1"),
    FeatureRow("morph_asphericity", "25C7", "Asphericity", "", "1"),
    FeatureRow("morph_com", "KLMA", "Centre of Mass Shift", "", "mm"),
    FeatureRow("morph_diam", "L0JK", "Maximum 3D Diameter of a Mesh", "shape_Maximum3DDiameter", "mm"),
    FeatureRow("morph_pca_maj_axis", "TDIC", "Major Axis in 3D Length", "shape_MajorAxisLength", "mm"),
    FeatureRow("morph_pca_min_axis", "P9VJ", "Minor Axis in 3D Length", "shape_MinorAxisLength", "mm"),
    FeatureRow("morph_pca_least_axis", "7J51", "Least Axis in 3D Length", "shape_LeastAxisLength", "mm"),
    FeatureRow("morph_pca_elongation", "Q3CK", "Elongation", "shape_Elongation", "1"),
    FeatureRow("morph_pca_flatness", "N17B", "Flatness", "shape_Flatness", "1"),
    FeatureRow(
        "morph_vol_dens_aabb", "PBX1", "Volume Density in Frame of Reference Axis Aligned Bounding Box", "", "1"
    ),
    FeatureRow("morph_area_dens_aabb", "R59B", "Area Density in Frame of Reference Axis Aligned Bounding Box", "", "1"),
    FeatureRow("morph_vol_dens_aee", "6BDE", "Volume Density in Approximate Enclosing Ellipsoid", "", "1"),
    FeatureRow("morph_area_dens_aee", "RDD2", "Area Density in Approximate Enclosing Ellipsoid", "", "1"),
    FeatureRow("morph_vol_dens_conv_hull", "R3ER", "Volume Density in Convex Hull", "", "1"),
    FeatureRow("morph_area_dens_conv_hull", "7T7F", "Area Density in Convex Hull", "", "1"),
    FeatureRow("morph_integ_int", "99N0", "Integrated Intensity", "", "I.mm3"),
    FeatureRow("morph_moran_i", "N365", "Moran's I Index", "", "1"),
    FeatureRow("morph_geary_c", "NPT7", "Geary's C Measure", "", "1"),
    FeatureRow("loc_peak_loc", "VJGA", "Local Intensity Peak", "", "I"),
    FeatureRow("loc_peak_glob", "0F91", "Global Intensity Peak", "", "I"),
    FeatureRow("stat_mean", "Q4LE", "Mean Intensity", "firstorder_Mean", "I"),
    FeatureRow("stat_var", "ECT3", "Intensity Variance", "firstorder_Variance", "I2"),
    FeatureRow("stat_skew", "KE2A", "Intensity Skewness", "firstorder_Skewness", "1"),
    FeatureRow("stat_kurt", "IPH6", "Excess Intensity Kurtosis", "", "1"),
    FeatureRow("stat_median", "Y12H", "Median Intensity", "firstorder_Median", "I"),
    FeatureRow("stat_min", "1GSF", "Minimum Intensity", "firstorder_Minimum", "I"),
    FeatureRow("stat_p10", "QG58", "10th Intensity Percentile", "firstorder_10Percentile", "I"),
    FeatureRow("stat_p90", "8DWT", "90th Intensity Percentile", "firstorder_90Percentile", "I"),
    FeatureRow("stat_max", "84IY", "Maximum Intensity", "firstorder_Maximum", "I"),
    FeatureRow("stat_iqr", "SALO", "Intensity Interquartile Range", "firstorder_InterquartileRange", "I"),
    FeatureRow("stat_range", "2OJQ", "Intensity Range", "firstorder_Range", "I"),
    FeatureRow("stat_mad", "4FUA", "Intensity Mean Absolute Deviation", "firstorder_MeanAbsoluteDeviation", "I"),
    FeatureRow(
        "stat_rmad", "1128", "Intensity Robust Mean Absolute Deviation", "firstorder_RobustMeanAbsoluteDeviation", "I"
    ),
    FeatureRow("stat_medad", "N72L", "Intensity Median Absolute Deviation", "", "I"),
    FeatureRow("stat_cov", "7TET", "Intensity Coefficient of Variation", "", "1"),
    FeatureRow("stat_qcod", "9S40", "Intensity Quartile Coefficient of Dispersion", "", "1"),
    FeatureRow("stat_energy", "N8CA", "Intensity Energy", "firstorder_Energy", "I2"),
    FeatureRow("stat_rms", "5ZWQ", "Root Mean Square Intensity", "firstorder_RootMeanSquared", "I"),
    FeatureRow("ih_mean", "X6K6", "Intensity Histogram Mean", "", "1"),
    FeatureRow("ih_var", "CH89", "Intensity Histogram Variance", "", "1"),
    FeatureRow("ih_skew", "88K1", "Intensity Histogram Skewness", "", "1"),
    FeatureRow("ih_kurt", "C3I7", "Intensity Histogram Kurtosis", "", "1"),
    FeatureRow("ih_median", "WIFQ", "Intensity Histogram Median", "", "1"),
    FeatureRow("ih_min", "1PR8", "Intensity Histogram Minimum Gray Level", "", "1"),
    FeatureRow("ih_p10", "GPMT", "Intensity Histogram 10th Percentile", "", "1"),
    FeatureRow("ih_p90", "OZ0C", "Intensity Histogram 90th Percentile", "", "1"),
    FeatureRow("ih_max", "3NCY", "Intensity Histogram Maximum Gray Level", "", "1"),
    FeatureRow("ih_mode", "AMMC", "Intensity Histogram Mode", "", "1"),
    FeatureRow("ih_iqr", "WR0O", "Intensity Histogram Interquartile Range", "", "1"),
    FeatureRow("ih_range", "5Z3W", "Intensity Histogram Range", "", "1"),
    FeatureRow("ih_mad", "D2ZX", "Intensity Histogram Mean Absolute Deviation", "", "1"),
    FeatureRow("ih_rmad", "WRZB", "Intensity Histogram Robust Mean Absolute Deviation", "", "1"),
    FeatureRow("ih_medad", "4RNL", "Intensity Histogram Median Absolute Deviation", "", "1"),
    FeatureRow("ih_cov", "CWYJ", "Intensity Histogram Coefficient of Variation", "", "1"),
    FeatureRow("ih_qcod", "SLWD", "Intensity Histogram Quartile Coefficient of Dispersion", "", "1"),
    FeatureRow("ih_entropy", "TLU2", "Intensity Histogram Entropy", "firstorder_Entropy", "1"),
    FeatureRow("ih_uniformity", "BJ5W", "Intensity Histogram Uniformity", "firstorder_Uniformity", "1"),
    FeatureRow("ih_max_grad", "12CE", "Intensity Histogram Maximum Gradient", "", "1"),
    FeatureRow("ih_max_grad_g", "8E6O", "Intensity Histogram Maximum Gradient Gray Level", "", "1"),
    FeatureRow("ih_min_grad", "VQB3", "Intensity Histogram Minimum Gradient", "", "1"),
    FeatureRow("ih_min_grad_g", "RHQZ", "Intensity Histogram Minimum Gradient Gray Level", "", "1"),
    FeatureRow("ivh_v10", "BC2M", "Volume at 10% Intensity Fraction", "", "1"),
    FeatureRow("ivh_v90", "BC2M", "Volume at 90% Intensity Fraction", "", "1"),
    FeatureRow("ivh_i10", "GBPN", "Intensity at 10% Volume Fraction", "", "I"),
    FeatureRow("ivh_i90", "GBPN", "Intensity at 90% Volume Fraction", "", "I"),
    FeatureRow("ivh_diff_v10_v90", "DDTU", "Volume Fraction Difference between 10% and 90% Intensity", "", "1"),
    FeatureRow("ivh_diff_i10_i90", "CNV2", "Intensity Difference between 10% and 90% Volume Fraction", "", "I"),
    FeatureRow("cm_joint_max", "GYBY", "Joint Maximum of GLCM", "glcm_MaximumProbability", "1"),
    FeatureRow("cm_joint_avg", "60VM", "Joint Average of GLCM", "glcm_JointAverage", "1"),
    FeatureRow("cm_joint_var", "UR99", "Joint Variance of GLCM", "glcm_SumSquares", "1"),
    FeatureRow("cm_joint_entr", "TU9B", "Joint Entropy of GLCM", "glcm_JointEntropy", "1"),
    FeatureRow("cm_diff_avg", "TF7R", "Difference Average of GLCM", "glcm_DifferenceAverage", "1"),
    FeatureRow("cm_diff_var", "D3YU", "Difference Variance of GLCM", "glcm_DifferenceVariance", "1"),
    FeatureRow("cm_diff_entr", "NTRS", "Difference Entropy of GLCM", "glcm_DifferenceEntropy", "1"),
    FeatureRow("cm_sum_avg", "ZGXS", "Sum Average of GLCM", "glcm_SumAverage", "1"),
    FeatureRow("cm_sum_var", "OEEB", "Sum Variance of GLCM", "", "1"),
    FeatureRow("cm_sum_entr", "P6QZ", "Sum Entropy of GLCM", "glcm_SumEntropy", "1"),
    FeatureRow("cm_energy", "8ZQL", "Angular Second Moment of GLCM", "glcm_JointEnergy", "1"),
    FeatureRow("cm_contrast", "ACUI", "Contrast of GLCM", "glcm_Contrast", "1"),
    FeatureRow("cm_dissimilarity", "8S9J", "Dissimilarity of GLCM", "", "1"),
    FeatureRow("cm_inv_diff", "IB1Z", "Inverse Difference of GLCM", "glcm_Id", "1"),
    FeatureRow("cm_inv_diff_norm", "NDRX", "Normalized Inverse Difference of GLCM", "glcm_Idn", "1"),
    FeatureRow("cm_inv_diff_mom", "WF0Z", "Inverse Difference Moment of GLCM", "glcm_Idm", "1"),
    FeatureRow("cm_inv_diff_mom_norm", "1QCO", "Normalized Inverse Difference Moment of GLCM", "glcm_Idmn", "1"),
    FeatureRow("cm_inv_var", "E8JP", "Inverse Variance of GLCM", "glcm_InverseVariance", "1"),
    FeatureRow("cm_corr", "NI2N", "Correlation of GLCM", "glcm_Correlation", "1"),
    FeatureRow("cm_auto_corr", "QWB0", "Autocorrelation of GLCM", "glcm_Autocorrelation", "1"),
    FeatureRow("cm_clust_tend", "DG8W", "Cluster Tendency of GLCM", "glcm_ClusterTendency", "1"),
    FeatureRow("cm_clust_shade", "7NFM", "Cluster Shade of GLCM", "glcm_ClusterShade", "1"),
    FeatureRow("cm_clust_prom", "AE86", "Cluster Prominence of GLCM", "glcm_ClusterProminence", "1"),
    FeatureRow("cm_info_corr1", "R8DG", "First Measure of Information Correlation of GLCM", "glcm_Imc1", "1"),
    FeatureRow("cm_info_corr2", "JN9H", "Second Measure of Information Correlation of GLCM", "glcm_Imc2", "1"),
    FeatureRow("rlm_sre", "22OV", "Short Runs Emphasis", "glrlm_ShortRunEmphasis", "1"),
    FeatureRow("rlm_lre", "W4KF", "Long Runs Emphasis", "glrlm_LongRunEmphasis", "1"),
    FeatureRow("rlm_lgre", "V3SW", "Low Gray Level Run Emphasis", "glrlm_LowGrayLevelRunEmphasis", "1"),
    FeatureRow("rlm_hgre", "G3QZ", "High Gray Level Run Emphasis", "glrlm_HighGrayLevelRunEmphasis", "1"),
    FeatureRow("rlm_srlge", "HTZT", "Short Run Low Gray Level Emphasis", "glrlm_ShortRunLowGrayLevelEmphasis", "1"),
    FeatureRow("rlm_srhge", "GD3A", "Short Run High Gray Level Emphasis", "glrlm_ShortRunHighGrayLevelEmphasis", "1"),
    FeatureRow("rlm_lrlge", "IVPO", "Long Run Low Gray Level Emphasis", "glrlm_LongRunLowGrayLevelEmphasis", "1"),
    FeatureRow("rlm_lrhge", "3KUM", "Long Run High Gray Level Emphasis", "glrlm_LongRunHighGrayLevelEmphasis", "1"),
    FeatureRow("rlm_glnu", "R5YN", "Gray Level Nonuniformity in Runs", "glrlm_GrayLevelNonUniformity", "1"),
    FeatureRow(
        "rlm_glnu_norm",
        "OVBL",
        "Normalized Gray Level Nonuniformity in Runs",
        "glrlm_GrayLevelNonUniformityNormalized",
        "1",
    ),
    FeatureRow("rlm_rlnu", "W92Y", "Run Length Nonuniformity", "glrlm_RunLengthNonUniformity", "1"),
    FeatureRow(
        "rlm_rlnu_norm", "IC23", "Normalized Run Length Nonuniformity", "glrlm_RunLengthNonUniformityNormalized", "1"
    ),
    FeatureRow("rlm_r_perc", "9ZK5", "Run Percentage", "glrlm_RunPercentage", "1"),
    FeatureRow("rlm_gl_var", "8CE5", "Gray Level Variance in Runs", "glrlm_GrayLevelVariance", "1"),
    FeatureRow("rlm_rl_var", "SXLW", "Run Length Variance", "glrlm_RunVariance", "1"),
    FeatureRow("rlm_rl_entr", "HJ9O", "Run Entropy", "glrlm_RunEntropy", "1"),
    FeatureRow("szm_sze", "5QRC", "Small Zone Emphasis", "glszm_SmallAreaEmphasis", "1"),
    FeatureRow("szm_lze", "48P8", "Large Zone Emphasis", "glszm_LargeAreaEmphasis", "1"),
    FeatureRow("szm_lgze", "XMSY", "Low Gray Level Zone Emphasis", "glszm_LowGrayLevelZoneEmphasis", "1"),
    FeatureRow("szm_hgze", "5GN9", "High Gray Level Zone Emphasis", "glszm_HighGrayLevelZoneEmphasis", "1"),
    FeatureRow("szm_szlge", "5RAI", "Small Zone Low Gray Level Emphasis", "glszm_SmallAreaLowGrayLevelEmphasis", "1"),
    FeatureRow("szm_szhge", "HW1V", "Small Zone High Gray Level Emphasis", "glszm_SmallAreaHighGrayLevelEmphasis", "1"),
    FeatureRow("szm_lzlge", "YH51", "Large Zone Low Gray Level Emphasis", "glszm_LargeAreaLowGrayLevelEmphasis", "1"),
    FeatureRow("szm_lzhge", "J17V", "Large Zone High Gray Level Emphasis", "glszm_LargeAreaHighGrayLevelEmphasis", "1"),
    FeatureRow("szm_glnu", "JNSA", "Gray Level Nonuniformity of Size Zone Counts", "glszm_GrayLevelNonUniformity", "1"),
    FeatureRow(
        "szm_glnu_norm",
        "Y1RO",
        "Normalized Gray Level Nonuniformity of Size Zone Counts",
        "glszm_GrayLevelNonUniformityNormalized",
        "1",
    ),
    FeatureRow("szm_zsnu", "4JP3", "Zone Size Nonuniformity", "glszm_SizeZoneNonUniformity", "1"),
    FeatureRow(
        "szm_zsnu_norm", "VB3A", "Normalized Zone Size Nonuniformity", "glszm_SizeZoneNonUniformityNormalized", "1"
    ),
    FeatureRow("szm_z_perc", "P30P", "Size Zone Percentage", "glszm_ZonePercentage", "1"),
    FeatureRow("szm_gl_var", "BYLV", "Gray Level Variance in Size Zones", "glszm_GrayLevelVariance", "1"),
    FeatureRow("szm_zs_var", "3NSA", "Zone Size Variance", "glszm_ZoneVariance", "1"),
    FeatureRow("szm_zs_entr", "GU8N", "Zone Size Entropy", "glszm_ZoneEntropy", "1"),
    FeatureRow("dzm_sde", "0GBI", "Small Distance Emphasis", "", "1"),
    FeatureRow("dzm_lde", "MB4I", "Large Distance Emphasis", "", "1"),
    FeatureRow("dzm_lgze", "S1RA", "Low Grey Level Zone Emphasis", "", "1"),
    FeatureRow("dzm_hgze", "K26C", "High Grey Level Zone Emphasis", "", "1"),
    FeatureRow("dzm_sdlge", "RUVG", "Small Distance Low Grey Level Emphasis", "", "1"),
    FeatureRow("dzm_sdhge", "DKNJ", "Small Distance High Grey Level Emphasis", "", "1"),
    FeatureRow("dzm_ldlge", "A7WM", "Large Distance Low Grey Level Emphasis", "", "1"),
    FeatureRow("dzm_ldhge", "KLTH", "Large Distance High Grey Level Emphasis", "", "1"),
    FeatureRow("dzm_glnu", "VFT7", "Grey Level Non-uniformity of Distance Zone Counts", "", "1"),
    FeatureRow("dzm_glnu_norm", "7HP3", "Normalized Grey Level Non-uniformity of Distance Zone Counts", "", "1"),
    FeatureRow("dzm_zdnu", "V294", "Zone Distance Non-uniformity", "", "1"),
    FeatureRow("dzm_zdnu_norm", "IATH", "Normalized Zone Distance Non-uniformity", "", "1"),
    FeatureRow("dzm_z_perc", "VIWW", "Distance Zone Percentage", "", "1"),
    FeatureRow("dzm_gl_var", "QK93", "Grey Level Variance in Distance Zones", "", "1"),
    FeatureRow("dzm_zd_var", "7WT1", "Zone Distance Variance", "", "1"),
    FeatureRow("dzm_zd_entr", "GBDU", "Zone Distance Entropy", "", "1"),
    FeatureRow("ngt_coarseness", "QCDE", "Coarseness of NGTDM", "ngtdm_Coarseness", "1"),
    FeatureRow("ngt_contrast", "65HE", "Contrast of NGTDM", "ngtdm_Contrast", "1"),
    FeatureRow("ngt_busyness", "NQ30", "Busyness of NGTDM", "ngtdm_Busyness", "1"),
    FeatureRow("ngt_complexity", "HDEZ", "Complexity of NGTDM", "ngtdm_Complexity", "1"),
    FeatureRow("ngt_strength", "1X9X", "Strength of NGTDM", "ngtdm_Strength", "1"),
    FeatureRow("ngl_lde", "SODN", "Low dependence emphasis", "gldm_SmallDependenceEmphasis", "1"),
    FeatureRow("ngl_hde", "IMOQ", "High dependence emphasis", "gldm_LargeDependenceEmphasis", "1"),
    FeatureRow("ngl_lgce", "TL9H", "Low grey level count emphasis", "gldm_LowGrayLevelEmphasis", "1"),
    FeatureRow("ngl_hgce", "OAE7", "High grey level count emphasis", "gldm_HighGrayLevelEmphasis", "1"),
    FeatureRow(
        "ngl_ldlge", "EQ3F", "Low dependence low grey level emphasis", "gldm_SmallDependenceLowGrayLevelEmphasis", "1"
    ),
    FeatureRow(
        "ngl_ldhge", "JA6D", "Low dependence high grey level emphasis", "gldm_SmallDependenceHighGrayLevelEmphasis", "1"
    ),
    FeatureRow(
        "ngl_hdlge", "NBZI", "High dependence low grey level emphasis", "gldm_LargeDependenceLowGrayLevelEmphasis", "1"
    ),
    FeatureRow(
        "ngl_hdhge",
        "9QMG",
        "High dependence high grey level emphasis",
        "gldm_LargeDependenceHighGrayLevelEmphasis",
        "1",
    ),
    FeatureRow("ngl_glnu", "FP8K", "Grey level non-uniformity of NGLDM", "gldm_GrayLevelNonUniformity", "1"),
    FeatureRow("ngl_glnu_norm", "5SPA", "Normalized grey level non-uniformity of NGLDM", "", "1"),
    FeatureRow("ngl_dcnu", "Z87G", "Dependence count non-uniformity", "gldm_DependenceNonUniformity", "1"),
    FeatureRow(
        "ngl_dcnu_norm",
        "OKJI",
        "Dependence count non-uniformity normalized",
        "gldm_DependenceNonUniformityNormalized",
        "1",
    ),
    FeatureRow("ngl_dc_perc", "6XV8", "Dependence count percentage", "", "1"),
    FeatureRow("ngl_gl_var", "1PFV", "Grey level variance of NGLDM", "gldm_GrayLevelVariance", "1"),
    FeatureRow("ngl_dc_var", "DNX2", "Dependence count variance", "gldm_DependenceVariance", "1"),
    FeatureRow("ngl_dc_entr", "FCBV", "Dependence count entropy", "gldm_DependenceEntropy", "1"),
    FeatureRow("ngl_dc_energy", "CAS9", "Dependence count energy", "", "1"),
)

BY_TAG = {row.tag: row for row in FEATURES}
