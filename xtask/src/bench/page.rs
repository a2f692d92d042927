//! What was measured, as Markdown.

use super::Rows;
use super::alone::{self, Alone};
use super::row::{Kernel, Row};
use crate::markdown::{head, row};
use std::fmt::Write as _;

/// All that the page shows.
pub(super) struct Performance {
    pub(super) machine: String,
    pub(super) threads: usize,
    /// Whether PyTorch was measured too.
    pub(super) compared: bool,
    /// The instruction set of both, if it was asked for.
    pub(super) chosen: Option<String>,
    pub(super) architectures: Vec<Measured>,
}

/// What was measured of an architecture.
pub(super) struct Measured {
    pub(super) arch: &'static str,
    pub(super) conditions: String,
    pub(super) ours: Rows,
    pub(super) theirs: Rows,
    /// Every row once more, with its profile.
    pub(super) profiled: Vec<Row>,
    /// Every kernel by itself: with [`alone::SMALL`] images on one thread, and with a whole batch on all.
    pub(super) small: Vec<Alone>,
    pub(super) whole: Vec<Alone>,
    pub(super) by_members: Vec<Row>,
    pub(super) by_batch: Vec<Row>,
}

/// The rows that both have, in the order in which they are printed: name there, name here.
const PAIRS: [[&str; 2]; 9] = [
    ["forward", "forward"],
    ["ce", "ce"],
    ["adp", "adp"],
    ["gal", "gal"],
    ["trs", "trs"],
    ["cldl", "cldl"],
    ["cldl_official", "cldl"],
    ["dverge", "dverge"],
    ["pgd10", "pgd10"],
];

/// Kinds of kernels, by how their names begin; all else are others.
const KINDS: [(&str, &[&str]); 4] = [
    ("convolutions", &["conv_", "bias_grad"]),
    ("linear layers", &["linear_"]),
    ("batch norm", &["norm_", "store_norm", "channel_affine"]),
    ("Adam", &["adam"]),
];
/// The steps whose kernels are shown one by one.
const SHOWN: [&str; 2] = ["ce", "cldl"];
const OTHERS: &str = "other kernels";
/// What `cldl bench` calls the time that no kernel took.
const REST: &str = "candle's ops and the rest";

/// How many times faster we are, step by step.
pub(super) fn ratios(ours: &Rows, theirs: &Rows) -> String {
    let mut text = head(&["step", "PyTorch, s", "cldl, s", "times faster"]);
    for [there, here] in PAIRS {
        if let (Some(theirs), Some(ours)) = (theirs.get(there), ours.get(here)) {
            let (theirs, ours) = (theirs.seconds, ours.seconds);
            let cells =
                [format!("{theirs:.4}"), format!("{ours:.4}"), format!("{:.2}", theirs / ours)];
            row(&mut text, &[&[there.to_owned()], &cells[..]].concat());
        }
    }
    text
}

/// For `docs/`: the page of this name, with the picture of that name.
pub(super) fn markdown(performance: &Performance, page: &str, picture: &str) -> String {
    let Performance { machine, threads, compared, chosen, architectures } = performance;
    let mut against =
        if *compared { " --against pytorch --script FILE --python FILE" } else { "" }.to_owned();
    if let Some(chosen) = chosen {
        let _ = write!(against, " --instructions {chosen}");
    }
    let steps = architectures.iter().flat_map(|measured| &measured.profiled);
    let instructions = steps.map(|step| step.instructions.as_str()).next().unwrap_or_default();
    let mut text = format!(
        "# Performance\n\n\
         Written by `cargo xtask bench{against} --out docs/{page}`; nothing here is typed. {threads} \
         threads with {instructions} on a machine that calls itself {machine}. What a step is, and which operations are counted, \
         `cldl bench --help` says; the peak is what the same threads reach with everything in registers, measured in \
         turns with what is set against it.\n\n\
         ![Seconds of a step against members and batch, with the limit]({picture})\n"
    );
    for measured in architectures {
        // Writing to a string can't fail.
        let _ = write!(text, "\n## {}\n\n{}", measured.arch, measured.conditions);
        if *compared {
            let _ = write!(text, "\n### {} against PyTorch\n\n", measured.arch);
            text += "`cldl_official` is the form that the paper's authors published, against our `cldl`.\n\n";
            text += &ratios(&measured.ours, &measured.theirs);
        }
        let _ = write!(text, "\n### Where the time of {} goes\n\n", measured.arch);
        text += "Shares of the step; in the last column how fast convolutions and linear layers are by \
                 themselves, as a share of the peak. Moved is what the kernels' arguments and results add up to; at least, \
                 what is left if each layer's input, result and gradients are read and written once for each pass \
                 that needs them. `cldl bench --profile` says it by kernel and shape.\n\n";
        text += &profiles(&measured.profiled);
        for step in measured.profiled.iter().filter(|step| SHOWN.contains(&&*step.what)) {
            let _ =
                write!(text, "\n### Kernels of {} in a step of {}\n\n", measured.arch, step.what);
            let _ = write!(
                text,
                "A machine of {:.0} GFLOP/s and {:.0} GB/s. The limit is the least time that these two allow: \
                 whichever is slower, operations or bytes. It can be passed where numbers are still in a cache.\n\n",
                step.peak_gflops, step.memory_gbs
            );
            text += &kernels(step);
        }
        let _ = write!(text, "\n### Kernels of {} by themselves\n\n", measured.arch);
        text += &alone::table(&measured.small, &measured.whole);
        let waits = measured.ours.get("wait").map_or(0.0, |row| row.seconds);
        let step = measured.ours.get("ce").map_or(f64::NAN, |row| row.seconds);
        let _ = write!(
            text,
            "\nImages are made ready on another thread: of a step of `ce`, the shortest there is, {:.2} % is \
             spent waiting for them.\n",
            100.0 * waits / step
        );
        for (rows, name) in
            [(&measured.by_members, "members"), (&measured.by_batch, "images in a batch")]
        {
            let _ = write!(text, "\n### {} with more {name}\n\n", measured.arch);
            text += &scaling(rows);
        }
    }
    text
}

fn profiles(rows: &[Row]) -> String {
    let kinds = KINDS.iter().map(|(kind, _)| *kind);
    let names = ["step", "seconds"].into_iter().chain(kinds);
    let names = names.chain([OTHERS, "candle and the rest", "of peak", "MB moved", "MB at least"]);
    let mut text = head(&names.collect::<Vec<_>>());
    for step in rows.iter().filter(|step| step.what != "wait") {
        let total: f64 = step.profile.iter().map(|kernel| kernel.seconds).sum();
        let share = |seconds: f64| format!("{:.0} %", 100.0 * seconds / total);
        let mut cells = vec![step.what.clone(), format!("{:.4}", step.seconds)];
        let kinds = KINDS.iter().map(|(kind, _)| *kind).chain([OTHERS, REST]);
        cells.extend(kinds.map(|kind| share(seconds_of(&step.profile, kind))));
        let counted = step.profile.iter().filter(|kernel| 0 < kernel.macs);
        let (macs, seconds) = counted.fold((0, 0.0), |(macs, seconds), kernel| {
            (macs + kernel.macs, seconds + kernel.seconds)
        });
        let of_peak = 2.0 * macs as f64 / seconds / 1e9 / step.peak_gflops;
        cells.push(format!("{:.0} %", 100.0 * of_peak));
        let moved: u64 = step.profile.iter().map(|kernel| kernel.bytes).sum();
        cells.extend([moved, step.least_bytes].map(|bytes| (bytes / 1_000_000).to_string()));
        row(&mut text, &cells);
    }
    text
}

/// The kernels of one step, by shape: all that take more than a hundredth of it.
fn kernels(step: &Row) -> String {
    let names = ["kernel", "shape", "calls", "ms", "MB", "of peak", "of limit"];
    let mut text = head(&names);
    let total: f64 = step.profile.iter().map(|kernel| kernel.seconds).sum();
    let shown = |kernel: &&Kernel| kernel.name != REST && total < 100.0 * kernel.seconds;
    for kernel in step.profile.iter().filter(shown) {
        let share = |seconds: f64| match seconds {
            0.0 => "-".to_owned(),
            _ => format!("{:.0} %", 100.0 * seconds / kernel.seconds),
        };
        let operations = 2.0 * kernel.macs as f64 / 1e9 / step.peak_gflops;
        let bytes = kernel.bytes as f64 / 1e9 / step.memory_gbs;
        let cells = [
            kernel.name.clone(),
            kernel.shape.clone(),
            kernel.calls.to_string(),
            format!("{:.2}", 1e3 * kernel.seconds),
            format!("{:.1}", kernel.bytes as f64 / 1e6),
            share(operations),
            share(operations.max(bytes)),
        ];
        row(&mut text, &cells);
    }
    text
}

/// Seconds of the kernels of a kind.
fn seconds_of(profile: &[Kernel], wanted: &str) -> f64 {
    let kind = |kernel: &Kernel| {
        let begins = |start: &&str| kernel.name.starts_with(*start);
        let known = KINDS.iter().find(|(_, starts)| starts.iter().any(begins));
        let unknown = if kernel.name == REST { REST } else { OTHERS };
        known.map_or(unknown, |(kind, _)| *kind)
    };
    let of_kind = profile.iter().filter(|kernel| kind(kernel) == wanted);
    // A sum of none is -0, and would be shown as such.
    of_kind.map(|kernel| kernel.seconds).sum::<f64>() + 0.0
}

fn scaling(rows: &[Row]) -> String {
    let mut text = head(&[
        "step",
        "members",
        "batch",
        "seconds",
        "a member and image, µs",
        "limit, s",
        "of peak",
        "memory, MB",
    ]);
    for step in rows {
        let each = 1e6 * step.seconds / (step.members * step.batch) as f64;
        let memory =
            step.peak_memory_bytes.map_or("-".to_owned(), |bytes| (bytes >> 20).to_string());
        let cells = [
            step.what.clone(),
            step.members.to_string(),
            step.batch.to_string(),
            format!("{:.4}", step.seconds),
            format!("{each:.1}"),
            format!("{:.4}", step.limit()),
            format!("{:.0} %", 100.0 * step.limit() / step.seconds),
            memory,
        ];
        row(&mut text, &cells);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{REST, kernels, profiles, ratios, scaling};
    use crate::bench::row::{Kernel, Row, median};

    fn step(what: &str, seconds: f64) -> Row {
        Row { what: what.to_owned(), seconds, ..Row::default() }
    }

    #[test]
    fn ours_is_set_against_both_of_their_forms() {
        let theirs = median(vec![step("cldl", 2.0), step("cldl_official", 4.0), step("ce", 1.0)]);
        let text = ratios(&median(vec![step("cldl", 1.0)]), &theirs);
        assert!(text.ends_with(
            "| cldl | 2.0000 | 1.0000 | 2.00 |\n| cldl_official | 4.0000 | 1.0000 | 4.00 |\n"
        ));
        assert!(!text.contains("| ce"));
    }

    #[test]
    fn a_profile_has_its_kinds_and_the_rest() {
        let kernel = |name: &str, seconds, macs| Kernel {
            name: name.to_owned(),
            seconds,
            macs,
            bytes: 1_000_000,
            ..Kernel::default()
        };
        let profile = vec![
            kernel("conv_forward", 0.5, 1_000_000_000),
            kernel("norm_backward", 0.25, 0),
            Kernel { bytes: 0, ..kernel(REST, 0.125, 0) },
            kernel("a new one", 0.125, 0),
        ];
        let row = Row { profile, peak_gflops: 8.0, least_bytes: 2_000_000, ..step("ce", 1.0) };
        let text = profiles(&[row]);
        assert!(
            text.ends_with(
                "| ce | 1.0000 | 50 % | 0 % | 25 % | 0 % | 12 % | 12 % | 50 % | 3 | 2 |\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_kernel_is_held_to_the_slower_of_operations_and_bytes() {
        let kernel = Kernel {
            name: "conv_forward".to_owned(),
            shape: "1x1".to_owned(),
            calls: 2,
            seconds: 0.5,
            macs: 500_000_000,
            bytes: 1_000_000_000,
        };
        let machine = Row { peak_gflops: 10.0, memory_gbs: 4.0, ..step("ce", 1.0) };
        let text = kernels(&Row { profile: vec![kernel], ..machine });
        assert!(
            text.ends_with("| conv_forward | 1x1 | 2 | 500.00 | 1000.0 | 20 % | 50 % |\n"),
            "{text}"
        );
    }

    #[test]
    fn scaling_shows_the_limit() {
        let row =
            Row { members: 2, batch: 50, gflops: 5.0, peak_gflops: 10.0, ..step("cldl", 1.0) };
        assert!(
            scaling(&[row]).ends_with("| cldl | 2 | 50 | 1.0000 | 10000.0 | 0.5000 | 50 % | - |\n")
        );
    }
}
