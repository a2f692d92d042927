//! LeNet-5, ResNet-20, the label confusion model and ensembles of them.
