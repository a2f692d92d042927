//! A loop over a constant range, written out.

/// `unroll!(for i in 0..N { .. })` for a const parameter `N` of at most 16, or `for i in [0 1 2] { .. }`.
///
/// Accumulators live in an array, and the compiler keeps an array in registers only if every index
/// is a constant. Its own unrolling makes it one for small bodies; where it gives up, the kernel is
/// three times slower. This macro does not give up.
macro_rules! unroll {
    (for $i:ident in 0..$n:ident $body:block) => {
        unroll!(@ $i $n $body 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    (for $i:ident in [$($index:literal)*] $body:block) => {{
        $(
            let $i: usize = $index;
            $body
        )*
    }};
    (@ $i:ident $n:ident $body:block $($index:literal)*) => {{
        const { assert!($n <= 16) };
        $(if const { $index < $n } {
            let $i: usize = $index;
            $body
        })*
    }};
}

pub(super) use unroll;
