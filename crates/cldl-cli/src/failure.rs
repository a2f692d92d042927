//! How a command that failed ends: one line on stderr, and a status that scripts can tell apart.

use std::process::ExitCode;

use cldl_data::DataError;
use cldl_train::TrainError;

/// Prints `error` and returns the status: 2 if the command was used wrongly, 1 otherwise.
#[expect(clippy::print_stderr, reason = "the one place where a failure is told")]
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    // With RUST_BACKTRACE set, candle appends a backtrace to its message: the first line has it all.
    let message = format!("{error:#}");
    eprintln!("cldl: {}", message.lines().next().unwrap_or_default());
    if is_usage(error) { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// A wrong use that only the libraries could tell; clap exits with 2 by itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

fn is_usage(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Usage>()
            || is_hub_usage(cause)
            || matches!(cause.downcast_ref(), Some(TrainError::Config(_)))
            || matches!(cause.downcast_ref(), Some(DataError::UnknownName { .. }))
    })
}

#[cfg(feature = "hub")]
fn is_hub_usage(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(cldl_hub::HubError::Argument(_)))
}

#[cfg(not(feature = "hub"))]
fn is_hub_usage(_: &(dyn std::error::Error + 'static)) -> bool {
    false
}
