//! `metrics.jsonl` as an event file of TensorBoard.
//!
//! The file is made anew from all lines each time, with times that follow from the run's start and the
//! epochs' seconds: what was there stays byte for byte, so that a TensorBoard that is open reads on,
//! and a run that was resumed has one unbroken curve.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use cldl_core::files::write_atomically;
use prost::Message;
use serde_json::Value;

use crate::ReportError;

/// tensorflow.Event, as far as it is used here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// tensorflow.Summary.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    values: Vec<Scalar>,
}

/// tensorflow.Summary.Value with a simple value.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// Writes the event file of the run at `run` into its folder `tensorboard/`; returns the file.
///
/// # Errors
/// If the run has no metrics, or the file can't be written.
pub fn write_events(run: &Path) -> Result<PathBuf, ReportError> {
    let source = run.join("metrics.jsonl");
    let text = std::fs::read_to_string(&source)
        .map_err(|e| ReportError::file(&source, format!("can't be read: {e}")))?;
    let began = std::fs::metadata(run.join("config.toml")).and_then(|meta| meta.modified());
    let began = began.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let began = began.map_or(0, |time| time.as_secs());
    let records = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let file = run.join("tensorboard").join(format!("events.out.tfevents.{began}.cldl"));
    write_atomically(&file, &events(began as f64, records))?;
    Ok(file)
}

fn events(began: f64, records: impl Iterator<Item = Value>) -> Vec<u8> {
    let version = Some("brain.Event:2".to_owned());
    let mut bytes = Vec::new();
    let first = Event { wall_time: began, step: 0, file_version: version, summary: None };
    frame(&mut bytes, &first.encode_to_vec());
    let mut wall_time = began;
    for record in records {
        let number = |name: &str| record.get(name).and_then(Value::as_f64).unwrap_or_default();
        wall_time += number("seconds");
        let mut values = Vec::new();
        scalars(&mut values, "", &record);
        let summary = Some(Summary { values });
        let event = Event { wall_time, step: number("epoch") as i64, file_version: None, summary };
        frame(&mut bytes, &event.encode_to_vec());
    }
    bytes
}

/// Every number of `value`, named by its way there: `probe/pairs/0-1/divergence`.
fn scalars(values: &mut Vec<Scalar>, name: &str, value: &Value) {
    let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}/{key}") };
    match value {
        Value::Number(number) if name != "epoch" => values.push(Scalar {
            tag: name.to_owned(),
            simple_value: number.as_f64().map(|number| number as f32),
        }),
        Value::Object(entries) => {
            for (key, entry) in entries.iter().filter(|(key, _)| *key != "members") {
                scalars(values, &below(key), entry);
            }
        }
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                let members = item["members"].as_array();
                let key = members.map_or_else(
                    || i.to_string(),
                    |pair| pair.iter().map(Value::to_string).collect::<Vec<_>>().join("-"),
                );
                scalars(values, &below(&key), item);
            }
        }
        _ => {}
    }
}

/// A record of a TFRecord file: length, data, and a masked checksum (CRC-32C) of each.
fn frame(bytes: &mut Vec<u8>, data: &[u8]) {
    let masked = |part: &[u8]| crc32c::crc32c(part).rotate_right(15).wrapping_add(0xa282_ead8);
    let length = (data.len() as u64).to_le_bytes();
    bytes.extend(length);
    bytes.extend(masked(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(masked(data).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::events;

    #[test]
    fn earlier_events_stay_as_they_are() {
        let record = |epoch: u32| {
            json!({"epoch": epoch, "loss": 0.5, "seconds": 2.0,
                   "probe": {"clean": 90.0, "pairs": [{"members": [0, 1], "divergence": 0.1}]}})
        };
        let one = events(100.0, [record(1)].into_iter());
        let two = events(100.0, [record(1), record(2)].into_iter());
        assert_eq!(two[..one.len()], one);
        // As tensorflow writes the head of every event file.
        assert_eq!(one[..8], 24u64.to_le_bytes());
        let text = String::from_utf8_lossy(&two).into_owned();
        for tag in ["loss", "probe/clean", "probe/pairs/0-1/divergence"] {
            assert!(text.contains(tag), "{tag}");
        }
    }
}
