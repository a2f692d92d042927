//! Every kernel against its definition, and against itself under other numbers of threads.

use super::*;
use crate::Stream;
use crate::kernels::arch::tests::for_each_arch;
use crate::kernels::{Finish, Images, Unpooled, max_pool2_backward, max_pool2_forward};
use proptest::prelude::*;

/// The convolutions of LeNet-5 and ResNet-20.
fn network_shapes() -> Vec<ConvShape> {
    let shape = |size, in_ch, out_ch, kernel, stride, padding| ConvShape {
        batch: 3,
        in_h: size,
        in_w: size,
        in_ch,
        out_ch,
        kernel,
        stride,
        padding,
    };
    vec![
        shape(28, 1, 20, 5, 1, 0),
        shape(12, 20, 50, 5, 1, 0),
        shape(32, 3, 16, 3, 1, 1),
        shape(32, 16, 16, 3, 1, 1),
        shape(32, 16, 32, 3, 2, 1),
        shape(16, 32, 32, 3, 1, 1),
        shape(16, 32, 64, 3, 2, 1),
        shape(8, 64, 64, 3, 1, 1),
        shape(32, 16, 32, 1, 2, 0),
        shape(16, 32, 64, 1, 2, 0),
    ]
}

fn random(purpose: &str, len: usize) -> Vec<f32> {
    let mut stream = Stream::new(1, purpose, &[len as u64]);
    (0..len).map(|_| 2.0 * stream.uniform() - 1.0).collect()
}

/// Equal up to the rounding of a sum of `terms` products of numbers below 1.
fn assert_close(what: &str, ours: &[f32], expected: &[f64], terms: usize) {
    let tolerance = 4.0 * f64::from(f32::EPSILON) * (terms as f64).max(1.0);
    for (at, (ours, expected)) in ours.iter().zip(expected).enumerate() {
        let error = (f64::from(*ours) - expected).abs();
        assert!(error <= tolerance, "{what}[{at}] is {ours}, not {expected}");
    }
}

/// Output, input gradient and weight gradient; garbage in the buffers must not survive.
fn all(shape: &ConvShape, biased: usize) -> [Vec<f32>; 3] {
    let [x, dy, weight, bias] = operands(shape);
    let mut y = vec![f32::NAN; dy.len()];
    let mut dx = vec![f32::NAN; x.len()];
    let mut dw = vec![f32::NAN; weight.len()];
    let (images, finish) = (Images::Stored(&x), Finish::default());
    conv_forward(shape, images, &weight, Some(&bias), biased, finish, &mut y);
    let of_weight = WeightGrad { x: images, dw: &mut dw };
    let of_input = InputGrad { weight: &weight, dx: &mut dx, add: false };
    conv_backward(shape, Images::Stored(&dy), Some(of_weight), Some(of_input));
    [y, dx, dw]
}

fn operands(shape: &ConvShape) -> [Vec<f32>; 4] {
    [
        random("x", shape.batch * shape.in_len()),
        random("dy", shape.batch * shape.out_len()),
        random("weight", shape.weight_len()),
        random("bias", shape.out_ch),
    ]
}

fn matches_definition(shape: &ConvShape, biased: usize) {
    let [x, dy, weight, bias] = operands(shape);
    let [y, dx, dw] = all(shape, biased);
    let taps = shape.kernel * shape.kernel;
    let expected = naive::forward(shape, &x, &weight, Some(&bias), biased);
    assert_close("y", &y, &expected, taps * shape.in_ch + 1);
    assert_close("dx", &dx, &naive::input_grad(shape, &dy, &weight), taps * shape.out_ch);
    let positions = shape.batch * shape.out_h() * shape.out_w();
    assert_close("dw", &dw, &naive::weight_grad(shape, &x, &dy), positions);
}

#[test]
fn networks_match_the_definition_on_every_instruction_set() {
    for_each_arch(|| network_shapes().iter().for_each(|shape| matches_definition(shape, 2)));
}

#[test]
fn images_of_three_channels_match_the_definition() {
    let shape = ConvShape { batch: 2, in_h: 5, ..network_shapes()[2] };
    let sizes = [(16, 16), (16, 32), (48, 16), (24, 16), (32, 24)];
    let shapes = sizes.map(|(in_w, out_ch)| ConvShape { in_w, out_ch, ..shape });
    for_each_arch(|| shapes.iter().for_each(|shape| matches_definition(shape, 2)));
}

#[test]
fn bits_do_not_depend_on_threads() {
    for shape in network_shapes() {
        let shape = ConvShape { batch: 37, ..shape };
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                all(&shape, 20).map(|grads| grads.into_iter().map(f32::to_bits).collect())
            })
        };
        let one: [Vec<u32>; 3] = with(1);
        assert!((2..=4).all(|threads| with(threads) == one), "{shape:?}");
    }
}

#[test]
fn bits_do_not_depend_on_alignment() {
    let shape = ConvShape { batch: 2, ..network_shapes()[1] };
    let [x, dy, weight, _] = operands(&shape);
    let mut aligned = vec![0.0; dy.len()];
    conv_forward(&shape, Images::Stored(&x), &weight, None, 0, Finish::default(), &mut aligned);
    for offset in 1..4 {
        let shifted = |data: &[f32]| [&vec![0.0; offset], data].concat();
        let (x, weight) = (shifted(&x), shifted(&weight));
        let mut y = vec![0.0; offset + dy.len()];
        conv_forward(
            &shape,
            Images::Stored(&x[offset..]),
            &weight[offset..],
            None,
            0,
            Finish::default(),
            &mut y[offset..],
        );
        assert_eq!(y[offset..], aligned);
    }
}

#[test]
fn a_gradient_is_added_to_what_is_there() {
    for shape in network_shapes() {
        let [_, dy, weight, _] = operands(&shape);
        let gradient = |dx: &mut [f32], add| {
            let of_input = InputGrad { weight: &weight, dx, add };
            conv_backward(&shape, Images::Stored(&dy), None, Some(of_input));
        };
        for_each_arch(|| {
            let mut dx = vec![f32::NAN; shape.batch * shape.in_len()];
            gradient(&mut dx, false);
            let expected: Vec<f64> = dx.iter().map(|dx| 2.0 * f64::from(*dx)).collect();
            gradient(&mut dx, true);
            assert_close("dx", &dx, &expected, shape.kernel * shape.kernel * shape.out_ch);
        });
    }
}

#[test]
fn an_empty_batch_has_no_gradient() {
    let shape = ConvShape { batch: 0, ..network_shapes()[0] };
    let [_, _, dw] = all(&shape, 0);
    assert!(dw.iter().all(|dw| *dw == 0.0));
}

#[test]
fn bias_gradient_sums_rows() {
    let dy: Vec<f32> = (0..5 * 1000).map(|i| (i % 5) as f32).collect();
    let mut db = [f32::NAN; 5];
    bias_grad(5, &dy, &mut db);
    assert_eq!(db, [0.0, 1e3, 2e3, 3e3, 4e3]);
}

prop_compose! {
    fn odd_shape()(
        batch in 1usize..4,
        in_h in 5usize..13,
        in_w in 5usize..19,
        in_ch in prop::sample::select(vec![1, 3, 7, 17, 33]),
        out_ch in prop::sample::select(vec![1, 3, 7, 17, 33]),
        kernel in 1usize..6,
        stride in 1usize..4,
        padding in 0usize..3,
    ) -> ConvShape {
        ConvShape { batch, in_h, in_w, in_ch, out_ch, kernel, stride, padding }
    }
}

prop_compose! {
    /// With stride 2, and a side that is even or odd.
    fn strided_shape()(
        in_h in 2usize..12,
        in_w in 2usize..20,
        in_ch in prop::sample::select(vec![2, 16, 17, 32, 50]),
        out_ch in prop::sample::select(vec![1, 7, 32]),
    ) -> ConvShape {
        ConvShape { batch: 2, in_h, in_w, in_ch, out_ch, kernel: 3, stride: 2, padding: 1 }
    }
}

prop_compose! {
    /// Whose outputs are squares of 2x2, and channels whole vectors.
    fn squared_shape()(
        batch in 1usize..3,
        squares_h in 2usize..7,
        squares_w in 2usize..12,
        in_ch in prop::sample::select(vec![16, 32, 48, 80]),
        out_ch in prop::sample::select(vec![16, 32, 64, 112]),
        padding in 0usize..3,
    ) -> ConvShape {
        let [in_h, in_w] = [squares_h, squares_w].map(|squares| 2 * squares + 2 - 2 * padding);
        ConvShape { batch, in_h, in_w, in_ch, out_ch, kernel: 3, stride: 1, padding }
    }
}

prop_compose! {
    /// Of one tap, and channels whole vectors.
    fn pointwise_shape()(
        batch in 1usize..3,
        in_h in 1usize..40,
        in_w in 1usize..40,
        in_ch in prop::sample::select(vec![16, 32, 48, 80]),
        out_ch in prop::sample::select(vec![16, 32, 64, 112]),
        stride in 1usize..4,
    ) -> ConvShape {
        ConvShape { batch, in_h, in_w, in_ch, out_ch, kernel: 1, stride, padding: 0 }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn pointwise_shapes_match_the_definition(shape in pointwise_shape(), biased in 0usize..3) {
        assert!(pointwise::fit(&shape));
        for_each_arch(|| matches_definition(&shape, biased));
    }

    #[test]
    fn squared_shapes_match_the_definition(shape in squared_shape(), biased in 0usize..3) {
        assert!(winograd::fit(&shape));
        for_each_arch(|| matches_definition(&shape, biased));
    }

    #[test]
    fn strided_shapes_match_the_definition(shape in strided_shape()) {
        for_each_arch(|| matches_definition(&shape, 0));
    }

    #[test]
    fn odd_shapes_match_the_definition(shape in odd_shape(), biased in 0usize..3) {
        for_each_arch(|| matches_definition(&shape, biased));
    }
}

#[test]
fn a_finish_is_the_sum_and_the_leaky_relu() {
    let shape = ConvShape { batch: 3, ..network_shapes()[1] };
    let [x, residual, weight, bias] = operands(&shape);
    let mut expected = vec![f32::NAN; residual.len()];
    conv_forward(
        &shape,
        Images::Stored(&x),
        &weight,
        Some(&bias),
        3,
        Finish::default(),
        &mut expected,
    );
    for (y, r) in expected.iter_mut().zip(&residual) {
        *y = if *y + r > 0.0 { *y + r } else { 0.1 * (*y + r) };
    }
    let finish = Finish { residual: Some(&residual), slope: Some(0.1) };
    let mut y = vec![f32::NAN; residual.len()];
    conv_forward(&shape, Images::Stored(&x), &weight, Some(&bias), 3, finish, &mut y);
    assert_eq!(y, expected);
}

/// Convolution with pooling of 2 values and their tangents, and its gradients for the maxima's, in one
/// pass and in the steps that it is made of.
fn pooled_matches_its_steps(shape: &ConvShape) {
    let shape = &ConvShape { batch: 4, ..*shape };
    let [x, _, weight, bias] = operands(shape);
    let (h, w, ch) = (shape.out_h(), shape.out_w(), shape.out_ch);
    let pooled = shape.batch * (h / 2) * (w / 2) * ch;
    let (slope, images) = (0.1, Images::Stored(&x));

    let mut y = vec![f32::NAN; pooled];
    let mut argmax = vec![f32::NAN; pooled / 2];
    conv_pool_forward(shape, 2, 0, images, &weight, Some(&bias), slope, &mut y, &mut argmax);
    let mut outputs = vec![f32::NAN; shape.batch * shape.out_len()];
    conv_forward(shape, images, &weight, Some(&bias), 2, Finish::default(), &mut outputs);
    let (mut expected, mut chosen) = (vec![f32::NAN; pooled], vec![f32::NAN; pooled / 2]);
    max_pool2_forward(2, h, w, ch, 2, &outputs, &mut expected, &mut chosen);
    let (values, tangents) = expected.split_at_mut(pooled / 2);
    for (value, tangent) in values.iter_mut().zip(tangents) {
        if *value <= 0.0 {
            (*value, *tangent) = (*value * slope, *tangent * slope);
        }
    }
    let as_f64 = |numbers: &[f32]| numbers.iter().copied().map(f64::from).collect::<Vec<_>>();
    let terms = shape.kernel * shape.kernel * shape.in_ch + 1;
    assert_close("maximum", &y, &as_f64(&expected), terms);
    assert_eq!(argmax, chosen, "{shape:?}");

    let dy = random("gradient of the maxima", pooled);
    let mut dense = vec![f32::NAN; outputs.len()];
    max_pool2_backward(2, h, w, ch, 2, &dy, &argmax, &mut dense);
    let gradients = |dy: Images<'_>| {
        let (mut dx, mut dw) = (vec![1.0; x.len() / 2], vec![f32::NAN; weight.len()]);
        let of_input = InputGrad { weight: &weight, dx: &mut dx, add: true };
        conv_backward(shape, dy, Some(WeightGrad { x: images, dw: &mut dw }), Some(of_input));
        let mut all = vec![f32::NAN; x.len()];
        let of_input = InputGrad { weight: &weight, dx: &mut all, add: false };
        conv_backward(shape, dy, None, Some(of_input));
        [dx, dw, all]
    };
    let dims = [h, w, ch];
    let ours = gradients(Images::Unpooled(Unpooled { dims, dy: &dy, argmax: &argmax }));
    let expected = gradients(Images::Stored(&dense));
    for ((what, terms), (ours, expected)) in
        [("dx", ch * terms), ("dw", h * w * shape.batch), ("all of dx", ch * terms)]
            .into_iter()
            .zip(ours.iter().zip(&expected))
    {
        assert_close(what, ours, &as_f64(expected), terms);
    }
}

#[test]
fn pooled_convolutions_of_networks_match_their_steps() {
    for_each_arch(|| network_shapes()[..2].iter().for_each(pooled_matches_its_steps));
}

/// Nothing is read or written where it should not be, whatever a caller says that pooling chose.
#[test]
fn a_choice_that_there_is_not_stays_in_the_window() {
    for shape in network_shapes()[..2].iter().map(|shape| ConvShape { batch: 1, ..*shape }) {
        let [x, _, weight, _] = operands(&shape);
        let dims = [shape.out_h(), shape.out_w(), shape.out_ch];
        let dy = random("gradient of the maxima", dims.iter().product::<usize>() / 4);
        for choice in [4.0, -1.0, 0.5, 1e9, f32::NAN, f32::NEG_INFINITY] {
            for_each_arch(|| {
                let argmax = vec![choice; dy.len()];
                let dy = Images::Unpooled(Unpooled { dims, dy: &dy, argmax: &argmax });
                let (mut dx, mut dw) = (vec![f32::NAN; x.len()], vec![f32::NAN; weight.len()]);
                let of_weight = WeightGrad { x: Images::Stored(&x), dw: &mut dw };
                let of_input = InputGrad { weight: &weight, dx: &mut dx, add: false };
                conv_backward(&shape, dy, Some(of_weight), Some(of_input));
                assert!(dx.iter().chain(&dw).all(|gradient| gradient.is_finite()));
            });
        }
    }
}

/// The last tile of a line has fewer windows than a vector that they share.
#[test]
fn a_line_of_windows_may_end_within_a_vector() {
    let odd = ConvShape { in_h: 6, in_w: 10, out_ch: 17, padding: 2, ..network_shapes()[0] };
    for_each_arch(|| pooled_matches_its_steps(&odd));
}

/// Of pixels that are not numbers, of weights that are not, and of sums that leave the range.
#[test]
fn what_is_no_number_wins_the_pooling_of_a_convolution() {
    let shape = &ConvShape { batch: 2, ..network_shapes()[0] };
    let [x, _, weight, _] = operands(shape);
    let (h, w, ch) = (shape.out_h(), shape.out_w(), shape.out_ch);
    let pooled = shape.batch * (h / 2) * (w / 2) * ch;
    let check = |x: &[f32], weight: &[f32], lost: usize| {
        let (mut y, mut argmax) = (vec![9.0; pooled], vec![9.0; pooled]);
        let images = Images::Stored(x);
        conv_pool_forward(shape, 1, 0, images, weight, None, 1.0, &mut y, &mut argmax);
        let mut outputs = vec![9.0; shape.batch * shape.out_len()];
        conv_forward(shape, images, weight, None, 0, Finish::default(), &mut outputs);
        let (mut expected, mut chosen) = (vec![9.0; pooled], vec![9.0; pooled]);
        max_pool2_forward(shape.batch, h, w, ch, 1, &outputs, &mut expected, &mut chosen);
        assert_eq!(argmax, chosen);
        let are_lost = |y: &[f32]| y.iter().map(|y| y.is_nan()).collect::<Vec<_>>();
        assert_eq!(are_lost(&y), are_lost(&expected));
        assert_eq!(y.iter().filter(|y| !y.is_finite()).count(), lost);
    };
    let with = |numbers: &[f32], at: usize, number: f32| {
        let mut numbers = numbers.to_vec();
        numbers[at] = number;
        numbers
    };
    for_each_arch(|| {
        check(&x, &weight, 0);
        // Three by three windows see a pixel of an odd row and column.
        check(&with(&x, 28 * 15 + 15, f32::NAN), &weight, 9 * ch);
        check(&x, &with(&weight, 25 * 17, f32::NAN), pooled / ch);
        check(&with(&x, 0, f32::MAX), &with(&weight, 0, 1e9), 1);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn odd_pooled_convolutions_match_their_steps(
        shape in odd_shape(),
        in_ch in prop::sample::select(vec![1, 3, 7, 20, 40]),
    ) {
        prop_assume!(2 <= shape.out_h().min(shape.out_w()));
        for_each_arch(|| pooled_matches_its_steps(&ConvShape { in_ch, ..shape }));
    }
}
