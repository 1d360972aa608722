//! Designs made by the loom. `u` counts warp threads from the left, `v` weft
//! threads from the top.

use super::cloths::{Colours, Crossing, Face};
use super::geometry::{corner, folded, petal, root, square};

/// Narrow strips sewn side by side. In each, blocks of weft-faced motifs take
/// turns with plain blocks in which the striped warp shows, and neighbouring
/// strips are half a turn apart.
pub(super) fn kente(c: &Colours, u: i32, v: i32) -> Crossing {
    const STRIP: i32 = 40;
    const BLOCK: i32 = 40;
    let [ground, second, third, dark, light, sheen] = *c;
    let strip = u.div_euclid(STRIP);
    let a = u.rem_euclid(STRIP);
    let v = v + 20 + (strip % 2) * BLOCK;
    let (block, b) = (v.div_euclid(BLOCK), v.rem_euclid(BLOCK));
    let seam = a == 0;
    if block % 2 == 0 {
        // The warp's own stripes, in plain weave with a ground-coloured weft.
        let stripe = match a.min(STRIP - 1 - a) {
            0..=1 => dark,
            2..=5 => ground,
            6..=8 => second,
            9 | 13 => dark,
            10..=12 => third,
            14..=16 => second,
            _ => ground,
        };
        let band = matches!(b, 18..=21);
        return if seam {
            Crossing { colour: dark, face: Face::Warp }
        } else if band && (u + v) % 2 == 0 {
            Crossing { colour: light, face: Face::Weft }
        } else if (u + v) % 4 == 0 {
            Crossing { colour: if stripe == ground { sheen } else { stripe }, face: Face::Weft }
        } else {
            Crossing { colour: stripe, face: Face::Warp }
        };
    }
    // Bands at both ends of a block, a motif between them.
    let from_end = b.min(BLOCK - 1 - b);
    let colour = match from_end {
        0 | 1 => dark,
        2 | 3 => light,
        4 | 5 => dark,
        6 | 7 => third,
        8 => dark,
        _ => {
            let (x, y) = ((2 * a - (STRIP - 1)).abs(), (2 * b - (BLOCK - 1)).abs());
            match (strip + block / 2).rem_euclid(3) {
                // A stepped diamond.
                0 => match x / 6 + y / 4 {
                    0 => light,
                    1 => dark,
                    2 | 3 => second,
                    4 => light,
                    5 => dark,
                    _ if x > 34 => dark,
                    _ => ground,
                },
                // Steps that cross.
                1 => match (x / 4 - y / 2).abs() {
                    0 => light,
                    1 => dark,
                    2..=3 if x / 4 < y / 2 => second,
                    _ if x / 4 < y / 2 => ground,
                    _ if x > 30 => third,
                    _ => second,
                },
                // Small blocks set like a chessboard.
                _ => match (a / 5 + (b - 9) / 6) % 2 {
                    0 => ground,
                    _ if (a % 5 == 2 || a % 5 == 3) && matches!((b - 9) % 6, 2 | 3) => light,
                    _ if strip % 2 == 0 => third,
                    _ => second,
                },
            }
        }
    };
    let colour = if seam { dark } else { colour };
    Crossing { colour, face: Face::Weft }
}

/// Strips whose warp hides the weft, in fine stripes with a shining thread
/// among them, and rows of openings bound together by the weft.
pub(super) fn aso_oke(c: &Colours, u: i32, v: i32) -> Crossing {
    const STRIP: i32 = 50;
    let [ground, lighter, shine, darker, accent, behind] = *c;
    let strip = u.div_euclid(STRIP);
    let a = u.rem_euclid(STRIP);
    if a == 0 {
        return Crossing { colour: behind, face: Face::Warp };
    }
    // Openings: a column of ovals in the middle of each strip's plain part.
    let (ox, oy) = (2 * (a - 25), 2 * (v + strip * 6).rem_euclid(12) - 11);
    let oval = ox * ox * 4 + oy * oy;
    if oval <= 36 {
        return Crossing { colour: behind, face: Face::Open };
    }
    if oval <= 100 {
        return Crossing { colour: accent, face: if oy.abs() > 6 { Face::Weft } else { Face::Warp } };
    }
    let from_edge = a.min(STRIP - a);
    let colour = match from_edge {
        1..=3 => ground,
        4 => darker,
        // The shining thread glints where the weft presses it down.
        5 | 6 if (u + v) % 3 != 0 => shine,
        5 | 6 => accent,
        7 => darker,
        8..=11 => lighter,
        12 => shine,
        13..=15 => lighter,
        16 => darker,
        17..=19 => ground,
        _ => darker,
    };
    let face = if (u * 2 + v) % 8 == 0 { Face::Weft } else { Face::Warp };
    Crossing { colour, face }
}

/// Narrow strips of heavy cotton in plain stripes, as smocks are sewn from.
pub(super) fn fugu(c: &Colours, u: i32, v: i32) -> Crossing {
    const STRIP: i32 = 25;
    let [white, blue, dark, pale, ..] = *c;
    let strip = u.div_euclid(STRIP);
    let a = u.rem_euclid(STRIP);
    let colour = match (strip.rem_euclid(2), a.min(STRIP - a)) {
        (_, 0) => dark,
        (0, 1..=2) => blue,
        (0, 3..=5 | 10..) => white,
        (0, 6) => dark,
        (0, 7..=8) => pale,
        (0, 9) => dark,
        (1, 4 | 9) => white,
        (1, 5..=8) => blue,
        _ => dark,
    };
    // The weft shows as a dot of its own white at every fourth crossing.
    if a != 0 && (u + v) % 2 == 0 && v % 4 == 0 && colour != white {
        return Crossing { colour: pale, face: Face::Weft };
    }
    let face = if (u + v) % 2 == 0 { Face::Weft } else { Face::Warp };
    Crossing { colour, face }
}

/// One colour, two ways of binding it: the figure floats on the weft and
/// takes the light, the ground lies in the warp.
pub(super) fn brocade(c: &Colours, u: i32, v: i32) -> Crossing {
    const PERIOD: i32 = 100;
    let [ground, figure, deep, ..] = *c;
    let row = v.div_euclid(PERIOD / 2);
    let x = (u + row.rem_euclid(2) * PERIOD / 2).rem_euclid(PERIOD) - PERIOD / 2;
    let y = v.rem_euclid(PERIOD / 2) - PERIOD / 4;
    // A rosette reaches into the rows above and below, which are half a
    // period aside.
    let (side, below) = (corner(x, PERIOD), corner(y, PERIOD));
    let is_figure = rosette(x * 12, y * 12) || rosette(side * 12, below * 12) || lattice(x, y);
    if is_figure {
        let face = if (u + 3 * v) % 8 == 0 { Face::Warp } else { Face::Weft };
        Crossing { colour: figure, face }
    } else {
        let face = if (u + 5 * v) % 8 == 0 { Face::Weft } else { Face::Warp };
        let colour = if face == Face::Weft { deep } else { ground };
        Crossing { colour, face }
    }
}

/// A damask rosette around the origin.
fn rosette(x: i32, y: i32) -> bool {
    match root(square(x) + square(y)) / 16 {
        0..=2 => true,
        3..=4 => false,
        5..=22 => {
            let (x, y) = folded(x, y);
            let inner = [0, 2].into_iter().any(|n| petal(x, y, n, 9 * 16, 5 * 16, 3 * 16));
            let vein = [0, 2].into_iter().any(|n| petal(x, y, n, 9 * 16, 3 * 16, 10));
            let outer = petal(x, y, 1, 17 * 16, 5 * 16, 2 * 16);
            let tip = [0, 2].into_iter().any(|n| petal(x, y, n, 17 * 16, 20, 20));
            (inner && !vein) || outer || tip
        }
        _ => false,
    }
}

/// The lozenge lattice that holds the rosettes.
fn lattice(x: i32, y: i32) -> bool {
    let far = x.abs() + y.abs();
    let knot = (x.abs() - y.abs()).rem_euclid(10);
    matches!(far, 46 | 54) || (matches!(far, 49..=51) && knot < 6)
}
