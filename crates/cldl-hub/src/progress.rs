//! Progress of transfers, told to whoever wants to show it.

use std::sync::Arc;

use hf_hub::progress::{DownloadEvent, Progress, ProgressEvent, ProgressHandler, UploadEvent};

/// Told of a transfer: what is transferred, bytes done, bytes in all. Must not call the Hub.
pub type Watch = Arc<dyn Fn(&str, u64, u64) + Send + Sync>;

/// `watch` in hf-hub's terms, for the transfer of `label`.
pub(crate) fn handler(watch: &Watch, label: &str) -> Progress {
    Handler { watch: Arc::clone(watch), label: label.to_owned() }.into()
}

struct Handler {
    watch: Watch,
    label: String,
}

impl ProgressHandler for Handler {
    fn on_progress(&self, event: &ProgressEvent) {
        let (done, total) = match event {
            ProgressEvent::Download(DownloadEvent::Start { total_bytes, .. })
            | ProgressEvent::Upload(UploadEvent::Start { total_bytes, .. }) => (0, *total_bytes),
            ProgressEvent::Download(DownloadEvent::Progress { files }) => {
                let Some(file) = files.first() else { return };
                (file.bytes_completed, file.total_bytes)
            }
            ProgressEvent::Download(DownloadEvent::AggregateProgress {
                bytes_completed,
                total_bytes,
                ..
            })
            | ProgressEvent::Upload(UploadEvent::Progress {
                bytes_completed, total_bytes, ..
            }) => (*bytes_completed, *total_bytes),
            _ => return,
        };
        (self.watch)(&self.label, done, total);
    }
}
