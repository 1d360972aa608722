//! Circles, petals and rays from whole numbers.

pub(super) fn square(n: i32) -> i32 {
    n.saturating_mul(n)
}

/// The whole square root.
pub(super) fn root(n: i32) -> i32 {
    n.max(0).isqrt()
}

/// The nearest of a square's four corners as the origin.
pub(super) fn corner(from_middle: i32, period: i32) -> i32 {
    from_middle - period / 2 * if from_middle < 0 { -1 } else { 1 }
}

/// The point mirrored into the first eighth of a turn: what repeats eight
/// times around the origin need be looked for only there.
pub(super) fn folded(x: i32, y: i32) -> (i32, i32) {
    let (x, y) = (x.abs(), y.abs());
    (x.max(y), x.min(y))
}

/// Cosines of sixteenths of a turn, in 1/256.
const COSINES: [i32; 16] = [256, 237, 181, 98, 0, -98, -181, -237, -256, -237, -181, -98, 0, 98, 181, 237];

/// The point seen along and across a direction, in sixteenths of a turn.
pub(super) fn turned(x: i32, y: i32, direction: i32) -> (i32, i32) {
    let at = |n: i32| {
        let n = usize::try_from(n.rem_euclid(16)).unwrap_or_default();
        COSINES.get(n).copied().unwrap_or_default()
    };
    let (cos, sin) = (at(direction), at(direction + 12));
    ((x * cos + y * sin) / 256, (y * cos - x * sin) / 256)
}

/// Whether the point is in an ellipse that lies `away` from the origin in a
/// direction, `long` and `wide` being half its length and width.
pub(super) fn petal(x: i32, y: i32, direction: i32, away: i32, long: i32, wide: i32) -> bool {
    let (along, across) = turned(x, y, direction);
    let along = i64::from((along - away) * wide);
    let across = i64::from(across * long);
    let reach = i64::from(long * wide);
    along * along + across * across <= reach * reach
}

/// A smooth wave between -128 and 128 with a period of 512.
pub(super) fn wave(at: i32) -> i32 {
    let at = at.rem_euclid(512);
    let half = at % 256;
    let height = half * (256 - half) / 128;
    if at < 256 { height } else { -height }
}

/// 0 and 1 in turn around the origin, `count` rays in all (16 or 32).
pub(super) fn spoke(x: i32, y: i32, count: i32) -> i32 {
    // The octant, then the position within it by slope: near enough to equal
    // angles for the eye.
    let (big, small) = (x.abs().max(y.abs()).max(1), x.abs().min(y.abs()));
    let per_octant = count / 4;
    let within = small * per_octant / big;
    let within = within.min(per_octant - 1);
    let flip = i32::from((x.abs() < y.abs()) ^ (x < 0) ^ (y < 0));
    (within + flip) % 2
}
