//! Where a step's time goes: the kernels' own spans, added up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// What one kernel took, for one shape.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Kernel {
    /// Name of its function.
    pub(super) name: String,
    /// Shape of its work, where it tells.
    pub(super) shape: String,
    pub(super) calls: usize,
    pub(super) seconds: f64,
    /// Multiplications of all calls, where it tells.
    pub(super) macs: u64,
    /// Bytes that all calls must read and write at least, where it tells.
    pub(super) bytes: u64,
}

/// The least seconds that a machine of so many GFLOP/s and GB/s would take: whichever is slower.
pub(super) fn limit(macs: u64, bytes: u64, peak_gflops: f64, memory_gbs: f64) -> f64 {
    (2.0 * macs as f64 / peak_gflops).max(bytes as f64 / memory_gbs) / 1e9
}

/// Runs `steps` and adds up what each kernel took, most first.
pub(super) fn of<T>(steps: impl FnOnce() -> T) -> (T, Vec<Kernel>) {
    let spans = Spans::default();
    let found = spans.0.clone();
    let done = tracing::subscriber::with_default(Registry::default().with(spans), steps);
    let found = found.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kernels: Vec<Kernel> = found.values().cloned().collect();
    kernels.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    (done, kernels)
}

/// Adds up spans by name and shape.
#[derive(Default)]
struct Spans(Arc<Mutex<BTreeMap<(String, String), Kernel>>>);

/// What a span says of itself, and when it was entered.
struct Told {
    shape: String,
    macs: u64,
    /// Numbers of four bytes.
    moved: u64,
    entered: Instant,
}

impl Visit for Told {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "macs" => self.macs = value,
            "moved" => self.moved = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "shape" {
            self.shape = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "shape" {
            value.clone_into(&mut self.shape);
        }
    }
}

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut told = Told { shape: String::new(), macs: 0, moved: 0, entered: Instant::now() };
        attributes.record(&mut told);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(told);
        }
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(told) = span.extensions_mut().get_mut::<Told>()
        {
            told.entered = Instant::now();
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        let extensions = span.extensions();
        let Some(told) = extensions.get::<Told>() else { return };
        // A span is closed as soon as it is left: its work is done in one go.
        let spent: Duration = told.entered.elapsed();
        let name = span.name().to_owned();
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kernel = found.entry((name.clone(), told.shape.clone())).or_insert_with(|| Kernel {
            name,
            shape: told.shape.clone(),
            ..Kernel::default()
        });
        kernel.calls += 1;
        kernel.seconds += spent.as_secs_f64();
        kernel.macs += told.macs;
        kernel.bytes += 4 * told.moved;
    }
}
