//! Throughput of the CPU kernels on the layers of LeNet-5 and ResNet-20.
//!
//! Criterion counts an element as one floating-point operation, two for each multiplication with
//! its addition: so `Gelem/s` reads GFLOP/s. The number of threads is `RAYON_NUM_THREADS`.

use cldl_core::kernels::{
    ConvShape, Finish, Images, InputGrad, Unpooled, WeightGrad, conv_backward, conv_forward,
    conv_pool_forward, linear_forward, linear_input_grad, linear_weight_grad,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 128;

/// Name, image size, input and output channels, kernel, stride, padding.
type Layer = (&'static str, usize, usize, usize, usize, usize, usize);

/// LeNet-5's, whose outputs are pooled, then ResNet-20's.
const LAYERS: [Layer; 10] = [
    ("lenet conv1", 28, 1, 20, 5, 1, 0),
    ("lenet conv2", 12, 20, 50, 5, 1, 0),
    ("stem", 32, 3, 16, 3, 1, 1),
    ("16-16", 32, 16, 16, 3, 1, 1),
    ("16-32 stride 2", 32, 16, 32, 3, 2, 1),
    ("32-32", 16, 32, 32, 3, 1, 1),
    ("32-64 stride 2", 16, 32, 64, 3, 2, 1),
    ("64-64", 8, 64, 64, 3, 1, 1),
    ("16-32 shortcut", 32, 16, 32, 1, 2, 0),
    ("32-64 shortcut", 16, 32, 64, 1, 2, 0),
];

fn ramp(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i % 101) as f32 / 101.0 - 0.5).collect()
}

fn shape((_, size, in_ch, out_ch, kernel, stride, padding): Layer) -> ConvShape {
    ConvShape { batch: BATCH, in_h: size, in_w: size, in_ch, out_ch, kernel, stride, padding }
}

fn conv(criterion: &mut Criterion) {
    for layer in &LAYERS[2..] {
        let (name, shape) = (layer.0, shape(*layer));
        let mut x = ramp(shape.batch * shape.in_len());
        let mut y = ramp(shape.batch * shape.out_len());
        let mut weight = ramp(shape.weight_len());
        let mut group = criterion.benchmark_group("conv");
        group.throughput(Throughput::Elements(2 * shape.macs() as u64));
        group.bench_function(BenchmarkId::new("forward", name), |bench| {
            let images = Images::Stored(&x);
            bench
                .iter(|| conv_forward(&shape, images, &weight, None, 0, Finish::default(), &mut y));
        });
        group.bench_function(BenchmarkId::new("input gradient", name), |bench| {
            bench.iter(|| {
                let of_input = InputGrad { weight: &weight, dx: &mut x, add: false };
                conv_backward(&shape, Images::Stored(&y), None, Some(of_input));
            });
        });
        group.bench_function(BenchmarkId::new("weight gradient", name), |bench| {
            bench.iter(|| {
                let of_weight = WeightGrad { x: Images::Stored(&x), dw: &mut weight };
                conv_backward(&shape, Images::Stored(&y), Some(of_weight), None);
            });
        });
    }
}

/// The layers of LeNet-5 with their pooling: operations are those of the convolution, all of its outputs'.
fn conv_pool(criterion: &mut Criterion) {
    for layer in &LAYERS[..2] {
        let (name, shape) = (layer.0, shape(*layer));
        let dims = [shape.out_h(), shape.out_w(), shape.out_ch];
        let pooled = BATCH * (dims[0] / 2) * (dims[1] / 2) * dims[2];
        let mut x = ramp(BATCH * shape.in_len());
        let mut weight = ramp(shape.weight_len());
        let (mut y, mut argmax) = (ramp(pooled), vec![0.0; pooled]);
        let mut group = criterion.benchmark_group("conv with pooling");
        group.throughput(Throughput::Elements(2 * shape.macs() as u64));
        group.bench_function(BenchmarkId::new("forward", name), |bench| {
            bench.iter(|| {
                let x = Images::Stored(&x);
                conv_pool_forward(&shape, 1, 0, x, &weight, None, 0.0, &mut y, &mut argmax);
            });
        });
        let dy = Images::Unpooled(Unpooled { dims, dy: &y, argmax: &argmax });
        group.bench_function(BenchmarkId::new("input gradient", name), |bench| {
            bench.iter(|| {
                let of_input = InputGrad { weight: &weight, dx: &mut x, add: false };
                conv_backward(&shape, dy, None, Some(of_input));
            });
        });
        group.bench_function(BenchmarkId::new("weight gradient", name), |bench| {
            bench.iter(|| {
                let of_weight = WeightGrad { x: Images::Stored(&x), dw: &mut weight };
                conv_backward(&shape, dy, Some(of_weight), None);
            });
        });
    }
}

fn linear(criterion: &mut Criterion) {
    for (inputs, outputs) in [(800, 500), (500, 64), (64, 10)] {
        let name = format!("{inputs}-{outputs}");
        let mut x = ramp(BATCH * inputs);
        let mut y = ramp(BATCH * outputs);
        let mut weight = ramp(inputs * outputs);
        let mut group = criterion.benchmark_group("linear");
        group.throughput(Throughput::Elements((2 * BATCH * inputs * outputs) as u64));
        group.bench_function(BenchmarkId::new("forward", &name), |bench| {
            bench.iter(|| linear_forward(BATCH, inputs, outputs, &x, &weight, None, 0, &mut y));
        });
        group.bench_function(BenchmarkId::new("input gradient", &name), |bench| {
            bench.iter(|| linear_input_grad(BATCH, inputs, outputs, &y, &weight, &mut x));
        });
        group.bench_function(BenchmarkId::new("weight gradient", &name), |bench| {
            bench.iter(|| linear_weight_grad(BATCH, inputs, outputs, &x, &y, &mut weight));
        });
    }
}

criterion_group!(benches, conv, conv_pool, linear);
criterion_main!(benches);
