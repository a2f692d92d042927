//! The device, chosen at run time.

use std::fmt;
use std::str::FromStr;

use candle::{Device, Result, bail};
use serde::{Deserialize, Serialize};

/// Where tensors live and ops run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// The first GPU that this build supports and this machine has, else the CPU.
    #[default]
    Auto,
    /// The CPU, with our own kernels.
    Cpu,
    /// The first CUDA device; the build needs the feature `cuda`.
    Cuda,
    /// The first Metal device; the build needs the feature `metal`.
    Metal,
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// If the build lacks the device's feature, or the machine the device.
    pub fn open(self) -> Result<Device> {
        match self {
            Self::Cuda if cfg!(feature = "cuda") => Device::new_cuda(0),
            Self::Metal if cfg!(feature = "metal") => Device::new_metal(0),
            Self::Cuda | Self::Metal => {
                bail!(
                    "this build has no `{self}`: build with `--features {self}`, or use `--device cpu`"
                )
            }
            // `auto` means the best that works: a build with a GPU feature must run without the GPU.
            Self::Auto if cfg!(feature = "cuda") => Ok(Device::new_cuda(0).unwrap_or(Device::Cpu)),
            Self::Auto if cfg!(feature = "metal") => {
                Ok(Device::new_metal(0).unwrap_or(Device::Cpu))
            }
            Self::Auto | Self::Cpu => Ok(Device::Cpu),
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        })
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        [Self::Auto, Self::Cpu, Self::Cuda, Self::Metal]
            .into_iter()
            .find(|choice| choice.to_string() == name)
            .ok_or_else(|| format!("unknown device `{name}`: use `auto`, `cpu`, `cuda` or `metal`"))
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceChoice;

    #[test]
    fn names_round_trip_and_unknown_names_are_refused() {
        for name in ["auto", "cpu", "cuda", "metal"] {
            assert_eq!(name.parse::<DeviceChoice>().unwrap().to_string(), name);
        }
        assert!("tpu".parse::<DeviceChoice>().unwrap_err().contains("`tpu`"));
        assert!(DeviceChoice::Auto.open().is_ok() && DeviceChoice::Cpu.open().unwrap().is_cpu());
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_device_that_the_build_lacks_says_how_to_get_it() {
        assert!(DeviceChoice::Cuda.open().unwrap_err().to_string().contains("--features cuda"));
    }
}
