"""MobileNetV2 of Keras Applications and of torchvision."""

from lib.study.twins import GLOROT, OPTIMIZER, BatchNorm, Initialisation, Law, Twin

TWIN = Twin(
    differences=frozenset({"bn_eps", "bn_momentum", "bn_variance", "padding", "dropout", "initialisation"}) | OPTIMIZER,
    parameter_limit=1.0,
    stages={
        "stem": ("features.0", "Conv1_relu"),
        "16 channels": ("features.1", "expanded_conv_project_BN"),
        "24 channels": ("features.3", "block_2_add"),
        "32 channels": ("features.6", "block_5_add"),
        "64 channels": ("features.10", "block_9_add"),
        "96 channels": ("features.13", "block_12_add"),
        "160 channels": ("features.16", "block_15_add"),
        "320 channels": ("features.17", "block_16_project_BN"),
        "last map": ("features.18", "out_relu"),
    },
    sources=("keras.src.applications.mobilenet_v2", "torchvision.models.mobilenetv2"),
    initialisation={"keras": GLOROT, "pytorch": Initialisation(Law("he normal"), Law("normal", std=0.01))},
    batch_norm={"keras": BatchNorm(1e-3, 0.999), "pytorch": BatchNorm(1e-5, 0.9)},
)
