//! The instruction set of the CPU kernels, chosen at run time.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

use pulp::Arch;

/// A family of instruction sets that our CPU kernels are compiled for.
///
/// The vectors' length sets the order of sums: the last digits of results depend on the family, and on
/// nothing else of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instructions {
    /// Vectors of 16 floats; x86-64.
    Avx512,
    /// Vectors of 8 floats, and FMA; x86-64.
    Avx2,
    /// Vectors of 4 floats; `AArch64`.
    Neon,
    /// No vectors; everywhere.
    Portable,
}

/// What [`Instructions::choose`] chose.
static CHOSEN: OnceLock<Instructions> = OnceLock::new();

impl Instructions {
    const ALL: [Self; 4] = [Self::Avx512, Self::Avx2, Self::Neon, Self::Portable];

    /// The best that this machine has.
    pub fn best() -> Self {
        match Arch::new() {
            #[cfg(target_arch = "x86_64")]
            Arch::V4(_) => Self::Avx512,
            #[cfg(target_arch = "x86_64")]
            Arch::V3(_) => Self::Avx2,
            #[cfg(target_arch = "aarch64")]
            Arch::Neon(_) => Self::Neon,
            _ => Self::Portable,
        }
    }

    /// What the kernels of this process use: the best, unless others were chosen.
    pub fn in_use() -> Self {
        CHOSEN.get().copied().unwrap_or_else(Self::best)
    }

    /// Lets all kernels of this process use these from now on, for results that another machine can
    /// repeat to the bit. Once, and before the first kernel runs.
    ///
    /// # Errors
    /// One line: if this machine does not have them, or others were chosen before.
    pub fn choose(self) -> Result<(), String> {
        if self.arch().is_none() {
            return Err(format!("this machine has no `{self}`: its best is `{}`", Self::best()));
        }
        match *CHOSEN.get_or_init(|| self) {
            chosen if chosen == self => Ok(()),
            chosen => Err(format!("`{chosen}` was chosen before `{self}`")),
        }
    }

    /// As the kernels know it; nothing if this machine has it not.
    pub(crate) fn arch(self) -> Option<Arch> {
        match self {
            Self::Portable => Some(Arch::Scalar),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().map(Arch::V3),
            other => (other == Self::best()).then(Arch::new),
        }
    }

    /// What was chosen, as the kernels know it.
    pub(crate) fn chosen() -> Option<Arch> {
        CHOSEN.get().and_then(|chosen| chosen.arch())
    }
}

impl fmt::Display for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Neon => "neon",
            Self::Portable => "portable",
        })
    }
}

impl FromStr for Instructions {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|choice| choice.to_string() == name).ok_or_else(|| {
            let known = "use `avx512`, `avx2`, `neon` or `portable`";
            format!("unknown instruction set `{name}`: {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Instructions;

    #[test]
    fn names_round_trip_and_unknown_names_are_refused() {
        for choice in Instructions::ALL {
            assert_eq!(choice.to_string().parse(), Ok(choice));
        }
        assert!("sse".parse::<Instructions>().unwrap_err().contains("`sse`"));
    }

    #[test]
    fn the_best_is_there_and_what_is_not_there_is_refused() {
        let best = Instructions::best();
        assert!(best.arch().is_some() && Instructions::Portable.arch().is_some());
        let missing = Instructions::ALL.into_iter().find(|choice| choice.arch().is_none());
        let error = missing.unwrap().choose().unwrap_err();
        assert!(error.contains(&format!("its best is `{best}`")), "{error}");
        assert_eq!(Instructions::in_use(), best);
    }
}
