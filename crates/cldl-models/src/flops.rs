//! How many operations the networks take, two for each multiplication with its addition, and how many numbers
//! their layers read and write.

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

    /// Numbers of one image that go into and come out of each of these layers, LeNet-5's after their pooling.
    pub fn layer_floats(self, n_classes: usize) -> Vec<[u64; 2]> {
        let mut layers: Vec<[usize; 2]> = Vec::new();
        match self {
            Self::LeNet5 => {
                layers.extend([
                    [28 * 28, 12 * 12 * 20],
                    [12 * 12 * 20, 800],
                    [800, 500],
                    [500, 64],
                ]);
            }
            Self::ResNet20 => {
                let floats = |size: usize, channels: usize| size * size * channels;
                let mut x = floats(32, 16);
                layers.push([floats(32, 3), x]);
                for (size, width) in [(32, 16), (16, 32), (8, 64)] {
                    for _ in 0..3 {
                        let y = floats(size, width);
                        layers.extend([[x, y], [y, y]]);
                        if x != y {
                            layers.push([x, y]);
                        }
                        x = y;
                    }
                }
                layers.push([64, 64]);
            }
        }
        layers.push([64, n_classes]);
        layers.into_iter().map(|layer| layer.map(|floats| floats as u64)).collect()
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

    #[test]
    fn every_layer_that_is_counted_has_its_numbers() {
        for arch in [Arch::LeNet5, Arch::ResNet20] {
            let (flops, floats) = (arch.layer_flops(7), arch.layer_floats(7));
            assert_eq!(flops.len(), floats.len());
            assert_eq!(floats[0][0], arch.image_shape().iter().product::<usize>() as u64);
            assert_eq!(floats[floats.len() - 1], [64, 7]);
        }
    }
}
