//! Designs put on cloth after weaving: dyed, painted, printed, embroidered.
//! `x` and `y` are sixteenths of a design unit.

use super::cloths::{Colours, Rgb};
use super::geometry::{corner, folded, petal, root, spoke, square, turned, wave};

/// Tied with raffia and dyed: rings within rings, streaked where the cloth
/// was gathered.
pub(super) fn adire_oniko(c: &Colours, x: i32, y: i32) -> Rgb {
    const PERIOD: i32 = 200 * 16;
    let [ground, faint, middle, pale, white, _] = *c;
    let (column, row) = (x.div_euclid(PERIOD), y.div_euclid(PERIOD));
    let (dx, dy) = (x.rem_euclid(PERIOD) - PERIOD / 2, y.rem_euclid(PERIOD) - PERIOD / 2);
    let (sx, sy) = (corner(dx, PERIOD), corner(dy, PERIOD));
    // Hand-tied: no ring is quite round, none quite like its neighbour.
    let wobble =
        wave((dx * 3 + dy * 2 + column * 700 + row * 1100) / 12) / 9 + wave((dx * 2 - dy * 3 + row * 900) / 9) / 14;
    let radius = root(square(dx) + square(dy)) + wobble;
    let small = root(square(sx) + square(sy)) + wobble / 2;
    let ring = |radius: i32, at: i32, half: i32| {
        let off = (radius - at * 16).abs();
        (half * 16 - off) * 6 / (half * 16)
    };
    let mut strength = 0;
    for (at, half) in [(0, 7), (22, 7), (42, 8), (63, 7), (83, 6)] {
        strength = strength.max(ring(radius, at, half));
    }
    for (at, half) in [(0, 4), (14, 5), (27, 4)] {
        strength = strength.max(ring(small, at, half));
    }
    // The folds under the raffia let dye in.
    if strength > 0 && radius > 10 * 16 && radius < 92 * 16 {
        strength -= spoke(dx, dy, 32) * 2;
    }
    match strength {
        4.. => white,
        3 => pale,
        2 => middle,
        1 => faint,
        _ => ground,
    }
}

/// Painted with starch before dyeing: squares, each with its own motif.
pub(super) fn adire_eleko(c: &Colours, x: i32, y: i32) -> Rgb {
    const SQUARE: i32 = 160 * 16;
    let [ground, _, middle, pale, ..] = *c;
    let (column, row) = (x.div_euclid(SQUARE), y.div_euclid(SQUARE));
    // The hand that paints is steady but not a ruler.
    let x = x + wave(y / 9 + row * 50) / 24;
    let y = y + wave(x / 8 + column * 70) / 24;
    let dx = x.rem_euclid(SQUARE) - SQUARE / 2;
    let dy = y.rem_euclid(SQUARE) - SQUARE / 2;
    let edge = (SQUARE / 2 - dx.abs().max(dy.abs())) / 16;
    let radius = root(square(dx) + square(dy)) / 16;
    let (ux, uy) = (dx / 16, dy / 16);
    let line = match edge {
        0..=1 => true,
        2..=4 => false,
        5..=6 => true,
        7..=10 => false,
        _ => match (column + row * 3).rem_euclid(5) {
            // A sun.
            0 => {
                radius < 12
                    || (16..20).contains(&radius)
                    || ((26..58).contains(&radius) && spoke(dx, dy, 16) == 0)
                    || (61..64).contains(&radius)
            }
            // Dots in rows.
            1 => {
                let (px, py) = ((ux + 80).rem_euclid(16) - 8, (uy + 80).rem_euclid(16) - 8);
                px * px + py * py < if (ux + 80) / 16 % 2 == 0 { 22 } else { 9 }
            }
            // Leaves on a stem.
            2 => ux.abs() < 2 || (ux.abs() < 58 && (uy + ux.abs() + 200).rem_euclid(22) < 8 - ux.abs() / 12),
            // Squares within squares.
            3 => ux.abs().max(uy.abs()) % 14 < 5,
            // Combed waves.
            _ => (uy + 80 + wave(ux * 12) / 20).rem_euclid(15) < 5,
        },
    };
    // Where a line thins out, the dye has crept under the starch.
    let crept = wave(x / 3 + wave(y / 5)) + wave(y / 4 - x / 7) > 215;
    match (line, crept) {
        (true, true) => middle,
        (true, false) => pale,
        (false, _) => ground,
    }
}

/// A bold print of discs in rings, with rays around them and small figures
/// in between.
pub(super) fn ankara(c: &Colours, x: i32, y: i32) -> Rgb {
    const PERIOD: i32 = 266 * 16;
    const PIP: i32 = PERIOD / 14;
    let [ground, second, third, dark, light, shadow] = *c;
    let shifted = y + x.div_euclid(PERIOD).rem_euclid(2) * PERIOD / 2;
    let dx = x.rem_euclid(PERIOD) - PERIOD / 2;
    let dy = shifted.rem_euclid(PERIOD) - PERIOD / 2;
    let radius = root(square(dx) + square(dy)) / 16;
    let (ox, oy) = folded(dx, dy);
    let ray = |away: i32, long: i32, wide: i32| (0..=2).any(|n| petal(ox, oy, n, away * 16, long * 16, wide * 16));
    let disc = match radius {
        0..=13 => Some(dark),
        14..=20 => Some(light),
        21..=33 if spoke(dx, dy, 16) == 0 => Some(second),
        21..=33 => Some(third),
        34..=37 => Some(dark),
        38..=50 => Some(second),
        51..=53 => Some(dark),
        54..=74 if ray(64, 9, 6) => Some(light),
        54..=74 => Some(third),
        75..=78 => Some(dark),
        79..=88 => Some(light),
        89..=92 => Some(dark),
        93..=118 if ray(98, 19, 11) => Some(second),
        93..=122 if ray(98, 23, 14) => Some(dark),
        _ => None,
    };
    if let Some(colour) = disc {
        return colour;
    }
    // Fine cracks in the wax let a little dye through.
    let crack = wave(x / 7 + wave(y / 9)).abs() < 3 || wave(y / 8 + wave(x / 11)).abs() < 3;
    // Between the discs: the ground with pips in rows, none of them cut.
    let (px, py) = (x.rem_euclid(PIP) - PIP / 2, y.rem_euclid(PIP) - PIP / 2);
    let pip = square(px) + square(py);
    if root(square(dx - px) + square(dy - py)) < 128 * 16 {
        return if crack { shadow } else { ground };
    }
    if pip < square(3 * 16) {
        dark
    } else if pip < square(5 * 16) {
        second
    } else if crack {
        shadow
    } else {
        ground
    }
}

/// Flowers in satin stitch, corded at their edges, on a net with eyelets.
pub(super) fn lace(c: &Colours, x: i32, y: i32) -> Rgb {
    const PERIOD: i32 = 200 * 16;
    let [thread, behind, shadow, bright, dim, _] = *c;
    let row = y.div_euclid(PERIOD / 2);
    let fx = (x + row.rem_euclid(2) * PERIOD / 2).rem_euclid(PERIOD) - PERIOD / 2;
    let fy = y.rem_euclid(PERIOD / 2) - PERIOD / 4;
    let side = if fx > 0 { fx - PERIOD / 2 } else { fx + PERIOD / 2 };
    let other = fy - PERIOD / 2 * fy.signum();
    for (dx, dy) in [(fx, fy), (side, other)] {
        let radius = root(square(dx) + square(dy)) / 16;
        // The eyelet in the middle and its cord.
        match radius {
            0..=6 => return behind,
            7..=10 => {
                return if (dx - dy) / 24 % 2 == 0 { bright } else { thread };
            }
            _ => {}
        }
        if radius > 66 {
            continue;
        }
        let (ox, oy) = folded(dx, dy);
        for n in [0, 2] {
            if petal(ox, oy, n, 30 * 16, 18 * 16, 10 * 16) {
                if !petal(ox, oy, n, 30 * 16, 15 * 16, 7 * 16) {
                    return bright;
                }
                // Satin stitches lie across the petal; its middle vein is open.
                if petal(ox, oy, n, 30 * 16, 10 * 16, 14) {
                    return dim;
                }
                let (along, across) = turned(ox, oy, n);
                return match (along + across.abs() / 2).rem_euclid(48) {
                    0..=11 => shadow,
                    12..=35 => thread,
                    _ => bright,
                };
            }
        }
        // Small leaves between the petals, and eyelets beyond them.
        let (along, across) = turned(ox, oy, 1);
        if petal(ox, oy, 1, 42 * 16, 9 * 16, 4 * 16) {
            return if along.rem_euclid(40) < 10 { shadow } else { thread };
        }
        match root(square(along - 58 * 16) + square(across)) / 16 {
            0..=3 => return behind,
            4..=5 => return bright,
            6 => return shadow,
            _ => {}
        }
    }
    // The net: fine threads crossing aslant, knotted where they meet.
    let (p, q) = ((x + y).rem_euclid(160), (x - y).rem_euclid(160));
    let (p, q) = ((p - 80).abs(), (q - 80).abs());
    match (p, q) {
        (0..=30, 0..=30) => thread,
        (0..=20, _) | (_, 0..=20) => shadow,
        (0..=28, _) | (_, 0..=28) => dim,
        _ => behind,
    }
}
