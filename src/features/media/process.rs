//! What becomes of a file before it is kept: it is read as the picture it claims to be and written anew, so that nothing
//! of it stays but the pixels. Pure work for a thread of its own; the bounds are checked before memory is taken.

use std::io::Cursor;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{PixelType, ResizeOptions, Resizer};
use gif::{ColorOutput, DecodeOptions, MemoryLimit, Repeat};
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};
use moxcms::{ColorProfile, Layout, TransformOptions};

use super::model::{Fit, Format, Size};

/// Most pixels of a picture, and of all frames of one that moves.
const MAX_PIXELS: u64 = 50_000_000;

/// The longest side, in pixels.
const MAX_SIDE: u32 = 12_000;

/// Most memory that a decoder may take for one picture, in bytes.
const MAX_MEMORY: u64 = 256 * 1024 * 1024;

/// Most frames of a picture that moves.
const MAX_FRAMES: u32 = 500;

/// Most scans of a JPEG that comes into view step by step; encoders write about ten.
const MAX_SCANS: u32 = 100;

/// Of 100; where eyes see no loss on cloth.
const QUALITY: u8 = 88;
const SMALL_QUALITY: f32 = 80.0;

/// Why a file is not taken, in words for the person who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("must be a JPEG, PNG, WebP or GIF picture; the content of the file counts, not its name")]
    Format,
    #[error("must have at most {MAX_SIDE} pixels a side and 50 megapixels in all")]
    TooManyPixels,
    #[error("must have at most {MAX_FRAMES} frames, and 50 megapixels in all of them together")]
    TooManyFrames,
    #[error("must not move unless it is a GIF; send a still picture")]
    Moves,
    #[error("cannot be read to its end; the file is damaged")]
    Damaged,
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Limits(_) => Self::TooManyPixels,
            _ => Self::Damaged,
        }
    }
}

/// A picture as it is kept.
#[derive(Debug)]
pub(super) struct Processed {
    pub format: Format,
    pub bytes: Vec<u8>,
    pub width: u32,
    pub height: u32,
}

/// Reads a file and writes it anew: upright, in the colours of the web (sRGB), without EXIF, comments and whatever was
/// hidden in it or after its end.
pub(super) fn process(bytes: &[u8]) -> Result<Processed, Refusal> {
    let format = Format::sniff(bytes).ok_or(Refusal::Format)?;
    if format == Format::Gif {
        return rewrite_gif(bytes);
    }
    let picture = decode(bytes, format)?;
    let (width, height) = (picture.width(), picture.height());
    let mut written = Vec::new();
    match format {
        Format::Jpeg => {
            let picture = match picture {
                DynamicImage::ImageLuma8(_) => picture,
                other => DynamicImage::ImageRgb8(other.into_rgb8()),
            };
            picture.write_with_encoder(JpegEncoder::new_with_quality(&mut written, QUALITY))?;
        }
        Format::Png => {
            picture.write_with_encoder(PngEncoder::new_with_quality(
                &mut written,
                CompressionType::Default,
                FilterType::Adaptive,
            ))?;
        }
        Format::Webp | Format::Gif => written = write_webp(&picture, f32::from(QUALITY))?,
    }
    Ok(Processed { format, bytes: written, width, height })
}

/// A kept picture in another size, as WebP. It is never enlarged.
pub(super) fn resize(bytes: &[u8], size: Size) -> Result<Vec<u8>, Refusal> {
    let format = Format::sniff(bytes).ok_or(Refusal::Format)?;
    let picture = decode(bytes, format)?;
    let picture = if picture.color().has_alpha() {
        DynamicImage::ImageRgba8(picture.into_rgba8())
    } else {
        DynamicImage::ImageRgb8(picture.into_rgb8())
    };
    let (width, height) = (picture.width(), picture.height());
    let cut = cut(width, height, size);
    let target = shrink(cut.2, cut.3, size);
    if target == (width, height) {
        return write_webp(&picture, SMALL_QUALITY);
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
    write_webp(&small.ok_or(Refusal::Damaged)?, SMALL_QUALITY)
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

/// Refuses by the size that the head of a file tells, before anything is decoded.
fn check_size(width: u32, height: u32) -> Result<(), Refusal> {
    let fits = (1..=MAX_SIDE).contains(&width)
        && (1..=MAX_SIDE).contains(&height)
        && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if fits { Ok(()) } else { Err(Refusal::TooManyPixels) }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_MEMORY);
    limits
}

/// The pixels of a still picture, or of the first frame of a GIF: upright and in sRGB.
fn decode(bytes: &[u8], format: Format) -> Result<DynamicImage, Refusal> {
    let file = || Cursor::new(bytes);
    let moves = match format {
        Format::Png => PngDecoder::with_limits(file(), limits())?.is_apng()?,
        Format::Webp => WebPDecoder::new(file())?.has_animation(),
        Format::Jpeg | Format::Gif => false,
    };
    if moves {
        return Err(Refusal::Moves);
    }
    if format == Format::Jpeg && jpeg_end(bytes).is_none() {
        return Err(Refusal::Damaged);
    }
    let mut reader = ImageReader::with_format(
        file(),
        match format {
            Format::Jpeg => ImageFormat::Jpeg,
            Format::Png => ImageFormat::Png,
            Format::Webp => ImageFormat::WebP,
            Format::Gif => ImageFormat::Gif,
        },
    );
    reader.limits(limits());
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    let orientation = decoder.orientation()?;
    let profile = decoder.icc_profile().ok().flatten();
    let mut picture = DynamicImage::from_decoder(decoder)?;
    if let Some(profile) = profile {
        picture = in_srgb(picture, &profile);
    }
    picture.apply_orientation(orientation);
    Ok(picture)
}

/// Where the mark of a JPEG's end stands: outside of its segments, which may hold other pictures. None where there is no
/// end, because the decoder would fill what is missing with grey; and where there are too many scans, of which each of a
/// few bytes goes over the whole picture once more.
fn jpeg_end(bytes: &[u8]) -> Option<usize> {
    let (mut at, mut scans) = (2, 0);
    loop {
        // What is no marker is data of a scan; some markers stand inside of it.
        while *bytes.get(at)? != 0xFF || matches!(*bytes.get(at + 1)?, 0x00 | 0x01 | 0xD0..=0xD7 | 0xFF) {
            at += 1;
        }
        match *bytes.get(at + 1)? {
            0xD9 => return Some(at),
            0xDA if scans == MAX_SCANS => return None,
            0xDA => scans += 1,
            _ => {}
        }
        let length = u16::from_be_bytes([*bytes.get(at + 2)?, *bytes.get(at + 3)?]);
        at += 2 + usize::from(length);
    }
}

/// Pictures of telephones and cameras have wider colours than the web's, described by a profile. Without it they would
/// look pale, so they are converted. A profile that is not understood is left out.
fn in_srgb(picture: DynamicImage, profile: &[u8]) -> DynamicImage {
    let converted = |source: &[u8], layout: Layout| {
        let profile = ColorProfile::new_from_slice(profile).ok()?;
        let srgb = ColorProfile::new_srgb();
        let convert = profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default()).ok()?;
        let mut pixels = vec![0; source.len()];
        convert.transform(source, &mut pixels).ok()?;
        Some(pixels)
    };
    match picture {
        DynamicImage::ImageRgb8(old) => {
            let (width, height) = old.dimensions();
            let new =
                converted(old.as_raw(), Layout::Rgb).and_then(|new| image::RgbImage::from_raw(width, height, new));
            DynamicImage::ImageRgb8(new.unwrap_or(old))
        }
        DynamicImage::ImageRgba8(old) => {
            let (width, height) = old.dimensions();
            let new =
                converted(old.as_raw(), Layout::Rgba).and_then(|new| image::RgbaImage::from_raw(width, height, new));
            DynamicImage::ImageRgba8(new.unwrap_or(old))
        }
        other => other,
    }
}

fn write_webp(picture: &DynamicImage, quality: f32) -> Result<Vec<u8>, Refusal> {
    let (width, height) = (picture.width(), picture.height());
    let written = if picture.color().has_alpha() {
        let pixels = picture.to_rgba8();
        webp::Encoder::from_rgba(&pixels, width, height).encode_simple(false, quality)
    } else {
        let pixels = picture.to_rgb8();
        webp::Encoder::from_rgb(&pixels, width, height).encode_simple(false, quality)
    };
    written.map(|bytes| bytes.to_vec()).map_err(|_| Refusal::Damaged)
}

/// A GIF keeps its frames, their times and its palette, byte for byte in its colours; texts and foreign blocks go.
fn rewrite_gif(bytes: &[u8]) -> Result<Processed, Refusal> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(MAX_MEMORY.try_into().map_err(|_| Refusal::TooManyPixels)?));
    options.check_frame_consistency(true);
    let mut decoder = options.read_info(bytes).map_err(|_| Refusal::Damaged)?;
    let (width, height) = (decoder.width(), decoder.height());
    check_size(width.into(), height.into())?;
    let palette = decoder.global_palette().unwrap_or_default().to_vec();
    let mut encoder = gif::Encoder::new(Vec::new(), width, height, &palette).map_err(|_| Refusal::Damaged)?;
    let (mut frames, mut pixels) = (0_u32, 0_u64);
    // Its head tells how large a frame is before it is decoded.
    while let Some(frame) = decoder.next_frame_info().map_err(|_| Refusal::Damaged)? {
        frames += 1;
        // Who shows it paints the whole picture for each frame.
        pixels += u64::from(width) * u64::from(height);
        if frames > MAX_FRAMES || pixels > MAX_PIXELS {
            return Err(Refusal::TooManyFrames);
        }
        let mut frame = frame.clone();
        if frame.palette.is_none() && palette.is_empty() {
            return Err(Refusal::Damaged);
        }
        let mut buffer = vec![0; decoder.buffer_size()];
        decoder.read_into_buffer(&mut buffer).map_err(|_| Refusal::Damaged)?;
        frame.buffer = buffer.into();
        // The rows are in their order now.
        frame.interlaced = false;
        // It is told before the first frame, or browsers play once.
        if frames == 1 && decoder.repeat() != Repeat::Finite(0) {
            encoder.set_repeat(decoder.repeat()).map_err(|_| Refusal::Damaged)?;
        }
        encoder.write_frame(&frame).map_err(|_| Refusal::Damaged)?;
    }
    if frames == 0 {
        return Err(Refusal::Damaged);
    }
    let written = encoder.into_inner().map_err(|_| Refusal::Damaged)?;
    Ok(Processed { format: Format::Gif, bytes: written, width: width.into(), height: height.into() })
}

#[cfg(test)]
mod tests {
    use image::{ImageEncoder, Rgb, RgbImage};

    use super::*;

    #[test]
    fn wide_colours_become_those_of_the_web() {
        let old = RgbImage::from_pixel(8, 8, Rgb([200, 60, 60]));
        let mut file = Vec::new();
        let mut encoder = PngEncoder::new(&mut file);
        encoder.set_icc_profile(ColorProfile::new_display_p3().encode().unwrap()).unwrap();
        encoder.write_image(&old, 8, 8, image::ExtendedColorType::Rgb8).unwrap();
        let written = process(&file).unwrap();
        let new = image::load_from_memory(&written.bytes).unwrap().into_rgb8();
        let Rgb([red, green, _]) = *new.get_pixel(4, 4);
        assert!(red > 208 && green < 55, "{red} {green}");
        // A profile that nobody understands does no harm.
        let mut file = Vec::new();
        let mut encoder = PngEncoder::new(&mut file);
        encoder.set_icc_profile(b"nonsense".to_vec()).unwrap();
        encoder.write_image(&old, 8, 8, image::ExtendedColorType::Rgb8).unwrap();
        let written = process(&file).unwrap();
        assert_eq!(*image::load_from_memory(&written.bytes).unwrap().into_rgb8().get_pixel(4, 4), Rgb([200, 60, 60]));
    }

    #[test]
    fn the_end_of_a_jpeg_is_not_that_of_a_picture_inside() {
        let inside = b"\xFF\xD8\xFF\xE1\x00\x06\xFF\xD8\xFF\xD9";
        assert_eq!(jpeg_end(&[&inside[..], b"\xFF\xDA\x00\x02ab\xFF\x00\xFF\xD0c\xFF\xD9"].concat()), Some(21));
        for cut in [&b"\xFF\xD8"[..], b"\xFF\xD8\xFF", inside, b"\xFF\xD8\xFF\xDA\x00\x02abc\xFF"] {
            assert_eq!(jpeg_end(cut), None);
        }
        let scans = |count| [&b"\xFF\xD8"[..], &b"\xFF\xDA\x00\x02".repeat(count), b"\xFF\xD9"].concat();
        assert_eq!((jpeg_end(&scans(100)), jpeg_end(&scans(101))), (Some(402), None));
    }

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
