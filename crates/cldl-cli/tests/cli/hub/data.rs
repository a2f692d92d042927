//! Datasets from the Hub: parquet in, the published files out.

use std::sync::Arc;

use cldl_data::{DataDirs, Dataset, DatasetName, Split};
use cldl_fake_hub::Revision;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::sandbox::World;

#[test]
fn mnist_from_parquet_is_the_published_mnist() {
    let world = World::new();
    let name = DatasetName::Mnist;
    put(&world, name, |data| data.labels.swap(0, 1));
    let text = world.failure("data fetch mnist --from hub --data-dir data");
    assert!(text.contains("train-labels-idx1-ubyte"), "{text}");
    assert!(!world.sandbox.path("data").exists());
    put(&world, name, |_| {});
    fetched_whole(&world, name, 4);
}

#[test]
fn fashion_mnist_from_parquet_is_the_published_one() {
    let world = World::new();
    put(&world, DatasetName::FashionMnist, |_| {});
    fetched_whole(&world, DatasetName::FashionMnist, 4);
}

/// CIFAR-10 is not in the repository: this runs where `CLDL_DATA_DIR` has it.
#[test]
fn cifar_10_from_parquet_is_the_published_one() {
    let name = DatasetName::Cifar10;
    if Dataset::load(name, Split::Test, &dirs()).is_err() {
        println!("skipped: no CIFAR-10 in CLDL_DATA_DIR");
        return;
    }
    let world = World::new();
    put(&world, name, |_| {});
    fetched_whole(&world, name, 6);
}

/// Puts both splits of a dataset on the Hub, as `change` leaves them.
fn put(world: &World, name: DatasetName, change: impl Fn(&mut Dataset)) {
    let (repo, folder, column) = match name {
        DatasetName::Mnist => ("ylecun/mnist", "mnist", "image"),
        DatasetName::FashionMnist => ("zalando-datasets/fashion_mnist", "fashion_mnist", "image"),
        DatasetName::Cifar10 => ("uoft-cs/cifar10", "plain_text", "img"),
    };
    let mut files = Revision::new();
    for (split, file) in [(Split::Train, "train"), (Split::Test, "test")] {
        let mut data = Dataset::load(name, split, &dirs()).unwrap();
        change(&mut data);
        let path = format!("{folder}/{file}-00000-of-00001.parquet");
        files.insert(path, parquet(&data, column, name.image_shape()));
    }
    world.hub.put_dataset(repo, files);
}

fn dirs() -> DataDirs {
    let others = std::env::var_os("CLDL_DATA_DIR").map(std::path::PathBuf::from);
    DataDirs::only([crate::run::datasets()].into_iter().chain(others))
}

/// Fetches a dataset and finds the published files in its folder.
fn fetched_whole(world: &World, name: DatasetName, files: usize) {
    let fetched = world.json(&format!("data fetch {name} --from hub --data-dir data --json"));
    assert_eq!(fetched["files"].as_array().unwrap().len(), files);
    let verified = world.json(&format!("data verify {name} --data-dir data --json"));
    let from = |file: &serde_json::Value| file["path"].as_str().unwrap().starts_with("data/");
    assert!(verified["files"].as_array().unwrap().iter().all(from), "{verified}");
}

/// The images as the Hub has them: PNG files in the column of images, labels in a column `label`.
fn parquet(data: &Dataset, column: &str, shape: [usize; 3]) -> Vec<u8> {
    let schema = format!(
        "message schema {{
            optional group {column} {{ optional binary bytes; optional binary path (UTF8); }}
            optional int64 label;
        }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let snappy = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::new(snappy)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let n = data.labels.len();
    let images: Vec<ByteArray> =
        data.images.chunks(shape.iter().product()).map(|p| png(p, shape).into()).collect();
    let labels: Vec<i64> = data.labels.iter().map(|label| i64::from(*label)).collect();
    // Whole values are defined to their full depth; a path that is null, to that of its group.
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&images, Some(&vec![2; n]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[], Some(&vec![1; n]), None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int64Type>().write_batch(&labels, Some(&vec![1; n]), None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    writer.close().unwrap();
    file
}

/// An image `[Ch, H, W]` as a PNG file.
fn png(pixels: &[u8], [channels, height, width]: [usize; 3]) -> Vec<u8> {
    let positions = height * width;
    let pixel = |at: usize| (0..channels).map(move |c| pixels[c * positions + at]);
    let interleaved: Vec<u8> = (0..positions).flat_map(pixel).collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    let gray = channels == 1;
    encoder.set_color(if gray { png::ColorType::Grayscale } else { png::ColorType::Rgb });
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    encoder.write_header().unwrap().write_image_data(&interleaved).unwrap();
    file
}
