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
    let put = |swapped: bool| {
        let mut files = Revision::new();
        for (split, name) in [(Split::Train, "train"), (Split::Test, "test")] {
            let mut data = mnist(split);
            if swapped {
                data.labels.swap(0, 1);
            }
            files.insert(format!("mnist/{name}-00000-of-00001.parquet"), parquet(&data));
        }
        world.hub.put_dataset("ylecun/mnist", files);
    };
    put(true);
    let text = world.failure("data fetch mnist --from hub --data-dir data");
    assert!(text.contains("train-labels-idx1-ubyte"), "{text}");
    assert!(!world.sandbox.path("data").exists());
    put(false);
    let fetched = world.json("data fetch mnist --from hub --data-dir data --json");
    assert_eq!(fetched["files"].as_array().unwrap().len(), 4);
    let verified = world.json("data verify mnist --data-dir data --json");
    let from = |file: &serde_json::Value| file["path"].as_str().unwrap().starts_with("data/");
    assert!(verified["files"].as_array().unwrap().iter().all(from), "{verified}");
}

fn mnist(split: Split) -> Dataset {
    let dirs = DataDirs::only([crate::run::datasets()]);
    Dataset::load(DatasetName::Mnist, split, &dirs).unwrap()
}

/// The images as the Hub has them: PNG files in a column `image`, labels in a column `label`.
fn parquet(data: &Dataset) -> Vec<u8> {
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (UTF8); }
        optional int64 label;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let snappy = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut file = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut file, schema, Arc::new(snappy)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let n = data.labels.len();
    let images: Vec<ByteArray> = data.images.chunks(28 * 28).map(|p| png(p).into()).collect();
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

fn png(pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, 28, 28);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header().unwrap().write_image_data(pixels).unwrap();
    file
}
