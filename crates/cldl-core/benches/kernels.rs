//! Throughput of the CPU kernels on the layers of LeNet-5 and ResNet-20.
//!
//! Criterion counts an element as one floating-point operation, two for each multiplication with
//! its addition: so `Gelem/s` reads GFLOP/s. The number of threads is `RAYON_NUM_THREADS`.

use cldl_core::kernels::{Alone, Layer, Pass, lenet5_layers, resnet20_layers};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BATCH: usize = 128;

fn network(criterion: &mut Criterion, name: &str, layers: Vec<Layer>) {
    let mut group = criterion.benchmark_group(name);
    for layer in layers {
        let mut alone = Alone::new(layer);
        group.throughput(Throughput::Elements(2 * alone.macs() as u64));
        for pass in Pass::ALL {
            let id = BenchmarkId::new(pass.name(), layer);
            group.bench_function(id, |bench| bench.iter(|| alone.run(pass)));
        }
    }
}

fn lenet5(criterion: &mut Criterion) {
    network(criterion, "lenet5", lenet5_layers(BATCH));
}

fn resnet20(criterion: &mut Criterion) {
    network(criterion, "resnet20", resnet20_layers(BATCH));
}

criterion_group!(benches, lenet5, resnet20);
criterion_main!(benches);
