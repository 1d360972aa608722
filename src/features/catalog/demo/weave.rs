//! Pictures of cloth, drawn thread by thread.
//!
//! A picture is a pure function of its name: the same bytes on every machine,
//! from integer arithmetic alone. Woven designs say for each crossing of a
//! warp and a weft thread which of the two lies on top and in what colour;
//! printed and dyed designs say which colour a point has, and a fine plain
//! weave is laid over them.

use std::io::Cursor;

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::cloths::{Cloth, Design, Face, Rgb};

/// Width and height of every picture, in pixels.
pub const SIZE: u32 = 800;

/// How a name says that it is the close view of a cloth.
const DETAIL: &str = "-detail";

/// Points per design unit. A design is 800 units wide.
const FINE: i32 = 16;

/// The names of all pictures, each without `.png`.
pub fn names() -> impl Iterator<Item = String> {
    Cloth::ALL.iter().flat_map(|cloth| [cloth.name.to_owned(), format!("{}{DETAIL}", cloth.name)])
}

/// Draws the picture of that name as a PNG; `None` if there is none.
pub fn draw(name: &str) -> Option<Vec<u8>> {
    let (name, view) = match name.strip_suffix(DETAIL) {
        Some(name) => (name, View::DETAIL),
        None => (name, View::WHOLE),
    };
    let cloth = Cloth::ALL.iter().find(|cloth| cloth.name == name)?;
    let side = i32::try_from(SIZE).ok()?;
    let mut pixels = Vec::new();
    for y in 0..side {
        for x in 0..side {
            pixels.extend_from_slice(&view.pixel(cloth, x, y));
        }
    }
    let mut png = Cursor::new(Vec::new());
    // Cloth repeats itself over whole rows, which filters would only hide.
    PngEncoder::new_with_quality(&mut png, CompressionType::Default, FilterType::NoFilter)
        .write_image(&pixels, SIZE, SIZE, ExtendedColorType::Rgb8)
        .ok()?;
    Some(png.into_inner())
}

/// From how near, and which part of, the cloth is seen.
struct View {
    /// Pixels to `per` design units.
    pixels: i32,
    per: i32,
    /// The design unit in the picture's upper left corner.
    from: i32,
}

impl View {
    const WHOLE: Self = Self { pixels: 1, per: 1, from: 0 };
    const DETAIL: Self = Self { pixels: 5, per: 2, from: 80 };

    fn pixel(&self, cloth: &Cloth, x: i32, y: i32) -> Rgb {
        match cloth.design {
            Design::Woven(cell) => {
                let thread = self.thread(4);
                let (u, v) = (x / thread + self.from / 4, y / thread + self.from / 4);
                let crossing = cell(&cloth.colours, u, v);
                let (along, across, id) = match crossing.face {
                    Face::Warp => (y % thread, x % thread, u),
                    Face::Weft => (x % thread, y % thread, v + 7919),
                    Face::Open => return self.opening(crossing.colour, x % thread, y % thread),
                };
                let light = rounding(across, thread, 44) + rounding(along, thread, 14) + uneven(id);
                shade(crossing.colour, light)
            }
            Design::Printed(point) => {
                let colour = self.smooth(x, y, |x, y| point(&cloth.colours, x, y));
                shade(colour, self.plain_weave(x, y))
            }
            Design::Dyed(point) => {
                let thread = self.thread(2);
                let middle = |at: i32| self.fine(at / thread * thread * 4 + thread * 2);
                let colour = point(&cloth.colours, middle(x), middle(y));
                shade(colour, self.plain_weave(x, y))
            }
            Design::Embroidered(point) => self.smooth(x, y, |x, y| point(&cloth.colours, x, y)),
        }
    }

    /// The width in pixels of a thread that is so many design units wide.
    fn thread(&self, units: i32) -> i32 {
        (units * self.pixels / self.per).max(1)
    }

    /// The light on plain cloth of fine threads.
    fn plain_weave(&self, x: i32, y: i32) -> i32 {
        let thread = self.thread(2);
        let warp_on_top = (x / thread + y / thread) % 2 == 0;
        let (along, across) = if warp_on_top { (x, y) } else { (y, x) };
        rounding(across % thread, thread, 16) + rounding(along % thread, thread, 6) + if warp_on_top { 5 } else { -5 }
    }

    /// A place in the design, given in quarters of a pixel.
    fn fine(&self, quarters: i32) -> i32 {
        quarters * FINE * self.per / (self.pixels * 4) + self.from * FINE
    }

    /// The mean of four points in the pixel, so that edges are not jagged.
    fn smooth(&self, x: i32, y: i32, point: impl Fn(i32, i32) -> Rgb) -> Rgb {
        let mut sums = [2_u32; 3];
        for (dx, dy) in [(1, 1), (3, 1), (1, 3), (3, 3)] {
            for (sum, part) in sums.iter_mut().zip(point(self.fine(x * 4 + dx), self.fine(y * 4 + dy))) {
                *sum += u32::from(part);
            }
        }
        sums.map(|sum| u8::try_from(sum / 4).unwrap_or(u8::MAX))
    }

    /// A hole in the cloth: what is behind it, with a shadow at the top left.
    fn opening(&self, behind: Rgb, across: i32, along: i32) -> Rgb {
        let shadow = if across.min(along) == 0 { -12 } else { 0 };
        shade(behind, shadow)
    }
}

/// The light on a round thread: brightest in the middle, `depth` darker at
/// its edges.
fn rounding(at: i32, thread: i32, depth: i32) -> i32 {
    let off_middle = 2 * at + 1 - thread;
    depth / 4 - off_middle * off_middle * depth / (thread * thread)
}

/// No two threads are spun and dyed quite alike.
fn uneven(id: i32) -> i32 {
    (id.wrapping_mul(193) ^ id.wrapping_mul(41) >> 3).rem_euclid(4) * 4 - 6
}

/// A colour made lighter or darker, by 1/256 of itself per step.
fn shade(colour: Rgb, light: i32) -> Rgb {
    colour.map(|part| {
        let lit = i32::from(part) * (256 + light) / 256;
        u8::try_from(lit.clamp(0, 255)).unwrap_or(u8::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn pictures_are_small_square_and_always_the_same() {
        for name in names() {
            let png = draw(&name).unwrap();
            assert!(png.len() < 150 * 1024, "{name} has {} KB", png.len() / 1024);
            let picture = image::load_from_memory(&png).unwrap();
            assert_eq!((picture.width(), picture.height()), (SIZE, SIZE), "{name}");
        }
        assert_eq!(draw("kente-gold"), draw("kente-gold"));
        assert_ne!(draw("kente-gold"), draw("kente-gold-detail"));
    }

    #[test]
    fn unknown_names_are_not_drawn() {
        for name in ["", "-detail", "kente", "kente-gold-detail-detail", "../kente-gold"] {
            assert!(draw(name).is_none(), "{name}");
        }
    }

    #[test]
    fn the_catalogue_and_the_pictures_agree() {
        let used: BTreeSet<String> = super::super::PRODUCTS_CSV
            .split([',', '\n'])
            .filter_map(|cell| cell.strip_prefix("/media/demo/"))
            .map(|file| file.trim_end_matches(".png").to_owned())
            .collect();
        assert_eq!(used, names().collect());
    }
}
