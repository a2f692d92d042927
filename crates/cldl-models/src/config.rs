//! Everything needed to build an ensemble but its weights.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The architecture of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// LeNet-5 with 20 and 50 channels, for 28x28 images with one channel.
    LeNet5,
    /// ResNet-20 (16-32-64), for 32x32 images with three channels.
    ResNet20,
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Self; 2] = [Self::LeNet5, Self::ResNet20];

    /// Shape `[Ch, H, W]` of the images that it takes.
    pub fn image_shape(self) -> [usize; 3] {
        match self {
            Self::LeNet5 => [1, 28, 28],
            Self::ResNet20 => [3, 32, 32],
        }
    }

    /// Number of layers whose features DVERGE may distill; the last are the logits.
    pub fn n_layers(self) -> usize {
        match self {
            Self::LeNet5 => 5,
            Self::ResNet20 => 20,
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeNet5 => "lenet5",
            Self::ResNet20 => "resnet20",
        })
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|arch| arch.to_string() == name)
            .ok_or_else(|| format!("unknown architecture `{name}`: use `lenet5` or `resnet20`"))
    }
}

/// The shape of an ensemble.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleConfig {
    /// Architecture of every member.
    pub arch: Arch,
    /// Number of members, N.
    pub members: usize,
    /// Number of classes, C.
    pub n_classes: usize,
    /// Negative slope of the activations of ResNet-20; 0 is ReLU. LeNet-5 always has ReLU.
    pub leaky_slope: f64,
    /// Mean of each image channel, in pixel units.
    pub mean: Vec<f64>,
    /// Standard deviation of each image channel, in pixel units.
    pub std: Vec<f64>,
    /// Whether a label confusion model was trained with the members.
    pub lcm: bool,
}

#[cfg(test)]
mod tests {
    use super::Arch;

    #[test]
    fn names_round_trip() {
        for arch in Arch::ALL {
            assert_eq!(arch.to_string().parse::<Arch>().unwrap(), arch);
        }
        assert!("lenet".parse::<Arch>().unwrap_err().contains("`lenet`"));
    }
}
