//! How many operations the networks take, two for each multiplication with its addition.

use crate::Arch;

impl Arch {
    /// Operations of one image's forward pass in each layer that multiplies by weights, in the order
    /// in which they are evaluated: convolutions and linear layers of a member with `n_classes`.
    pub fn layer_flops(self, n_classes: usize) -> Vec<u64> {
        let conv = |size: usize, inputs: usize, outputs: usize, kernel: usize| {
            2 * (size * size * inputs * outputs * kernel * kernel) as u64
        };
        let linear = |inputs: usize, outputs: usize| 2 * (inputs * outputs) as u64;
        match self {
            Self::LeNet5 => vec![
                conv(24, 1, 20, 5),
                conv(8, 20, 50, 5),
                linear(800, 500),
                linear(500, 64),
                linear(64, n_classes),
            ],
            Self::ResNet20 => {
                let mut layers = vec![conv(32, 3, 16, 3)];
                let mut inputs = 16;
                for (size, width) in [(32, 16), (16, 32), (8, 64)] {
                    for _ in 0..3 {
                        layers.extend([conv(size, inputs, width, 3), conv(size, width, width, 3)]);
                        if inputs != width {
                            layers.push(conv(size, inputs, width, 1));
                        }
                        inputs = width;
                    }
                }
                layers.extend([linear(64, 64), linear(64, n_classes)]);
                layers
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::Arch;

    #[test]
    fn a_forward_pass_takes_what_the_papers_say() {
        let total = |arch: Arch| arch.layer_flops(10).iter().sum::<u64>();
        // He et al.: 41 million multiplications; our shortcuts have weights.
        assert!((81_000_000..84_000_000).contains(&total(Arch::ResNet20)));
        assert_eq!(total(Arch::LeNet5), 576_000 + 3_200_000 + 800_000 + 64_000 + 1_280);
        assert_eq!(Arch::ResNet20.layer_flops(10).len(), 1 + 18 + 2 + 2);
    }
}
