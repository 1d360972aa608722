//! Kept pictures in other sizes.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};
use image::DynamicImage;

use super::model::{Fit, Format, Size};
use super::process::{Refusal, decode, write_webp};

/// Of 100; where eyes see no loss on cloth at the size of a page.
const QUALITY: f32 = 80.0;

/// A kept picture in another size, as WebP. It is never enlarged.
pub(super) fn resize(bytes: &[u8], size: Size) -> Result<Vec<u8>, Refusal> {
    let format = Format::sniff(bytes).ok_or(Refusal::Format)?;
    let picture = decode(bytes, format)?.upright();
    let picture = if picture.color().has_alpha() {
        DynamicImage::ImageRgba8(picture.into_rgba8())
    } else {
        DynamicImage::ImageRgb8(picture.into_rgb8())
    };
    let (width, height) = (picture.width(), picture.height());
    let cut = cut(width, height, size);
    let target = shrink(cut.2, cut.3, size);
    if target == (width, height) {
        return write_webp(&picture, QUALITY);
    }
    let pixel = if picture.color().has_alpha() { PixelType::U8x4 } else { PixelType::U8x3 };
    let source = ImageRef::new(width, height, picture.as_bytes(), pixel).map_err(|_| Refusal::Damaged)?;
    let mut small = Image::new(target.0, target.1, pixel);
    let [left, top, across, down] = [cut.0, cut.1, cut.2, cut.3].map(f64::from);
    Resizer::new()
        .resize(&source, &mut small, &ResizeOptions::new().crop(left, top, across, down))
        .map_err(|_| Refusal::Damaged)?;
    let pixels = small.into_vec();
    let small = match pixel {
        PixelType::U8x4 => image::RgbaImage::from_raw(target.0, target.1, pixels).map(DynamicImage::ImageRgba8),
        _ => image::RgbImage::from_raw(target.0, target.1, pixels).map(DynamicImage::ImageRgb8),
    };
    write_webp(&small.ok_or(Refusal::Damaged)?, QUALITY)
}

/// The part of a picture that is shown: left, top, width, height.
fn cut(width: u32, height: u32, size: Size) -> (u32, u32, u32, u32) {
    if size.fit == Fit::Whole {
        return (0, 0, width, height);
    }
    let (w, h) = if is_wider(width, height, size) {
        (part(height, size.width, size.height), height)
    } else {
        (width, part(width, size.height, size.width))
    };
    ((width - w) / 2, (height - h) / 2, w, h)
}

/// The size of the cut part in the box, at most its own size.
fn shrink(width: u32, height: u32, size: Size) -> (u32, u32) {
    if width <= size.width && height <= size.height {
        return (width, height);
    }
    match size.fit {
        Fit::Fill => (size.width, size.height),
        Fit::Whole if is_wider(width, height, size) => (size.width, part(height, size.width, width)),
        Fit::Whole => (part(width, size.height, height), size.height),
    }
}

fn is_wider(width: u32, height: u32, size: Size) -> bool {
    u64::from(width) * u64::from(size.height) > u64::from(height) * u64::from(size.width)
}

/// `length × numerator / denominator`, at least one pixel and at most `length` where the fraction is below one.
fn part(length: u32, numerator: u32, denominator: u32) -> u32 {
    let scaled = u64::from(length) * u64::from(numerator) / u64::from(denominator.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_filled_or_not_left() {
        let size = |fit, width, height| Size { fit, width, height };
        let fill = |w, h| {
            let cut = cut(w, h, size(Fit::Fill, 400, 500));
            (cut, shrink(cut.2, cut.3, size(Fit::Fill, 400, 500)))
        };
        assert_eq!(fill(1_000, 1_000), ((100, 0, 800, 1_000), (400, 500)));
        assert_eq!(fill(800, 2_000), ((0, 500, 800, 1_000), (400, 500)));
        assert_eq!(fill(40, 40), ((4, 0, 32, 40), (32, 40)));
        assert_eq!(fill(1, 12_000), ((0, 5_999, 1, 1), (1, 1)));
        assert_eq!(shrink(3_000, 1_500, size(Fit::Whole, 1_000, 1_000)), (1_000, 500));
        assert_eq!(shrink(12_000, 1, size(Fit::Whole, 1_000, 1_000)), (1_000, 1));
        assert_eq!(shrink(300, 200, size(Fit::Whole, 1_000, 1_000)), (300, 200));
    }
}
