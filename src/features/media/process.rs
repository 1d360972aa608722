//! What becomes of a file before it is kept: it is read as the picture it claims to be and written anew, so that nothing
//! of it stays but the pixels. Pure work for a thread of its own; the bounds are checked before memory is taken.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngDecoder, PngEncoder};
use image::codecs::webp::WebPDecoder;
use image::metadata::Orientation;
use image::{
    DynamicImage, GenericImageView, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, Pixel,
    PixelWithColorType,
};
use moxcms::{ColorProfile, DataColorSpace, Layout, TransformOptions};

use super::gif;
use super::jpeg::{self, Scans};
use super::model::Format;

/// Most pixels of a picture.
const MAX_PIXELS: u64 = 50_000_000;

/// The longest side, in pixels.
const MAX_SIDE: u32 = 12_000;

/// Bytes that the work on any picture takes beside its pixels: tables, rows, profiles.
const OVERHEAD: u64 = 4 * 1024 * 1024;

/// Bytes of pixels whose colours are converted at a time.
const STRIP: usize = 48 * 1024;

/// Of 100; where eyes see no loss on cloth.
const QUALITY: u8 = 88;

/// Why a file is not taken, in words for the person who sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("must be a JPEG, PNG, WebP or GIF picture; the content of the file counts, not its name")]
    Format,
    #[error("must have at most {MAX_SIDE} pixels a side and 50 megapixels in all")]
    TooManyPixels,
    #[error(
        "needs {need} MB of memory to be read, and this server has {most} MB for it; send it with fewer pixels, as a JPEG \
         that is not progressive, or with 8 bits a colour"
    )]
    TooMuchMemory { need: u32, most: u32 },
    #[error("must have at most {} frames, and 50 megapixels in all of them together", gif::MAX_FRAMES)]
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

/// What the head of a file tells of the memory that it takes, in bytes.
struct Head {
    format: Format,
    pixels: u64,
    /// The decoded picture.
    decoded: u64,
    /// The same with 8 bits a colour.
    shallow: u64,
    /// A second picture: with 8 bits a colour where the first has 16, or turned by a quarter.
    copy: u64,
    /// What the decoder has beside, until it is done.
    decoding: u64,
    /// What goes with any work: the file as it is read and written, and [`OVERHEAD`].
    base: u64,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let format = Format::sniff(bytes).ok_or(Refusal::Format)?;
        let (mut decoder, scans) = open(bytes, format)?;
        let is_turned = turns_sides(decoder.orientation()?);
        let ((width, height), decoded, color) = (decoder.dimensions(), decoder.total_bytes(), decoder.color_type());
        let pixels = u64::from(width) * u64::from(height);
        let is_deep = color.bytes_per_pixel() > color.channel_count();
        let decoding = match format {
            // The coefficients of all scans are kept until the last one is read.
            Format::Jpeg => jpeg::coefficients(scans, width, height),
            Format::Png => 0,
            // Planes, or another picture.
            Format::Webp | Format::Gif => 4 * pixels,
        };
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let shallow = if is_deep { decoded / 2 } else { decoded };
        let copy = if is_deep || is_turned { shallow } else { 0 };
        Ok(Self { format, pixels, decoded, shallow, copy, decoding, base: 4 * length + OVERHEAD })
    }
}

/// Bytes of memory that the coder of WebP takes for so many pixels: a copy of four bytes each, and planes of brightness, colour
/// and transparency.
fn memory_of_webp(pixels: u64) -> u64 {
    7 * pixels
}

/// Bytes of memory that [`process`] takes at most for this file beside the file itself, by what its head tells. Nothing is
/// decoded for it.
pub(super) fn memory_to_process(bytes: &[u8]) -> Result<u64, Refusal> {
    let head = Head::read(bytes)?;
    let after = match head.format {
        // It is turned while it is written.
        Format::Jpeg => 0,
        Format::Png => head.copy,
        Format::Webp => head.copy.max(memory_of_webp(head.pixels)),
        // Frame by frame: one as it is decoded and its copy are less than the one picture that others decode.
        Format::Gif => return Ok(head.base + head.decoded),
    };
    Ok(head.base + head.decoded + head.decoding.max(after))
}

/// The same for a kept picture that is shown in another size of so many pixels.
pub(super) fn memory_to_resize(bytes: &[u8], pixels: u64) -> Result<u64, Refusal> {
    let head = Head::read(bytes)?;
    // What is grey gets colours.
    let after = head.shallow.max(3 * head.pixels) + 4 * pixels + memory_of_webp(pixels);
    Ok(head.base + head.decoded + head.decoding.max(after))
}

/// Reads a file and writes it anew: upright, in the colours of the web (sRGB), with 8 bits a colour, without EXIF, comments and
/// whatever was hidden in it or after its end. It takes at most `memory` bytes, which [`memory_to_process`] tells.
pub(super) fn process(bytes: &[u8], memory: u64) -> Result<Processed, Refusal> {
    let format = Format::sniff(bytes).ok_or(Refusal::Format)?;
    if format == Format::Gif {
        return gif::rewrite(bytes, memory);
    }
    let Decoded { picture, orientation } = decode(bytes, format)?;
    let mut written = Vec::new();
    if format == Format::Jpeg && orientation != Orientation::NoTransforms {
        let mut encoder = JpegEncoder::new_with_quality(&mut written, QUALITY);
        let (width, height) = match &picture {
            DynamicImage::ImageLuma8(picture) => write_turned(&mut encoder, &Turned { picture, orientation })?,
            DynamicImage::ImageRgb8(picture) => write_turned(&mut encoder, &Turned { picture, orientation })?,
            _ => return Err(Refusal::Damaged),
        };
        return Ok(Processed { format, bytes: written, width, height });
    }
    let picture = Decoded { picture, orientation }.upright();
    let (width, height) = (picture.width(), picture.height());
    match format {
        Format::Jpeg => picture.write_with_encoder(JpegEncoder::new_with_quality(&mut written, QUALITY))?,
        Format::Png => picture.write_with_encoder(PngEncoder::new_with_quality(
            &mut written,
            CompressionType::Default,
            FilterType::Adaptive,
        ))?,
        Format::Webp | Format::Gif => written = write_webp(&picture, f32::from(QUALITY))?,
    }
    Ok(Processed { format, bytes: written, width, height })
}

fn write_turned<P: Pixel + PixelWithColorType>(
    encoder: &mut JpegEncoder<&mut Vec<u8>>,
    picture: &Turned<'_, P>,
) -> Result<(u32, u32), Refusal> {
    encoder.encode_image(picture)?;
    Ok(picture.dimensions())
}

/// Refuses by the size that the head of a file tells, before anything is decoded.
pub(super) fn check_size(width: u32, height: u32) -> Result<(), Refusal> {
    let fits = (1..=MAX_SIDE).contains(&width)
        && (1..=MAX_SIDE).contains(&height)
        && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if fits { Ok(()) } else { Err(Refusal::TooManyPixels) }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    // The pixels are counted by whoever asks for the memory; this bounds what a head may make a decoder take.
    limits.max_alloc = Some(8 * MAX_PIXELS);
    limits
}

/// A decoder that has read the head of a still picture, or of a GIF whose first frame counts, and found it in bounds.
fn open(bytes: &[u8], format: Format) -> Result<(impl ImageDecoder + '_, Scans), Refusal> {
    let file = || Cursor::new(bytes);
    let moves = match format {
        Format::Png => PngDecoder::with_limits(file(), limits())?.is_apng()?,
        Format::Webp => WebPDecoder::new(file())?.has_animation(),
        Format::Jpeg | Format::Gif => false,
    };
    if moves {
        return Err(Refusal::Moves);
    }
    let scans = if format == Format::Jpeg { jpeg::scan(bytes).ok_or(Refusal::Damaged)? } else { Scans::default() };
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
    let decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    check_size(width, height)?;
    Ok((decoder, scans))
}

/// A picture in sRGB, with 8 bits a colour, which may lie on its side.
pub(super) struct Decoded {
    picture: DynamicImage,
    orientation: Orientation,
}

impl Decoded {
    /// The picture as it is to be seen.
    pub(super) fn upright(mut self) -> DynamicImage {
        self.picture.apply_orientation(self.orientation);
        self.picture
    }
}

/// The pixels of a still picture, or of the first frame of a GIF.
pub(super) fn decode(bytes: &[u8], format: Format) -> Result<Decoded, Refusal> {
    let (mut decoder, _) = open(bytes, format)?;
    let orientation = decoder.orientation()?;
    let profile = decoder.icc_profile().ok().flatten();
    let mut picture = match DynamicImage::from_decoder(decoder)? {
        deep @ DynamicImage::ImageLuma16(_) => DynamicImage::ImageLuma8(deep.into_luma8()),
        deep @ DynamicImage::ImageLumaA16(_) => DynamicImage::ImageLumaA8(deep.into_luma_alpha8()),
        deep @ DynamicImage::ImageRgb16(_) => DynamicImage::ImageRgb8(deep.into_rgb8()),
        deep @ DynamicImage::ImageRgba16(_) => DynamicImage::ImageRgba8(deep.into_rgba8()),
        picture => picture,
    };
    if let Some(profile) = profile {
        bring_to_srgb(&mut picture, &profile);
    }
    Ok(Decoded { picture, orientation })
}

/// Pictures of telephones and cameras have wider colours than the web's, described by a profile. Without it they would
/// look pale, so they are converted, strip by strip. A profile that is not understood, or that is not of such a picture, is left
/// out.
fn bring_to_srgb(picture: &mut DynamicImage, profile: &[u8]) {
    let (pixels, layout) = match picture {
        DynamicImage::ImageRgb8(picture) => (&mut **picture, Layout::Rgb),
        DynamicImage::ImageRgba8(picture) => (&mut **picture, Layout::Rgba),
        _ => return,
    };
    let Ok(profile) = ColorProfile::new_from_slice(profile) else { return };
    if profile.color_space != DataColorSpace::Rgb {
        return;
    }
    let srgb = ColorProfile::new_srgb();
    let Ok(convert) = profile.create_transform_8bit(layout, &srgb, layout, TransformOptions::default()) else { return };
    let mut old = vec![0; STRIP];
    for strip in pixels.chunks_mut(STRIP) {
        let old = &mut old[..strip.len()];
        old.copy_from_slice(strip);
        if convert.transform(old, strip).is_err() {
            strip.copy_from_slice(old);
        }
    }
}

/// Whether what was the width becomes the height.
fn turns_sides(orientation: Orientation) -> bool {
    match orientation {
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH => {
            true
        }
    }
}

/// A picture seen upright, without a copy that is turned.
struct Turned<'a, P: Pixel> {
    picture: &'a ImageBuffer<P, Vec<P::Subpixel>>,
    orientation: Orientation,
}

impl<P: Pixel> GenericImageView for Turned<'_, P> {
    type Pixel = P;

    fn dimensions(&self) -> (u32, u32) {
        let (width, height) = self.picture.dimensions();
        if turns_sides(self.orientation) { (height, width) } else { (width, height) }
    }

    fn get_pixel(&self, x: u32, y: u32) -> P {
        let (width, height) = self.picture.dimensions();
        let (x, y) = match self.orientation {
            Orientation::NoTransforms => (x, y),
            Orientation::FlipHorizontal => (width - 1 - x, y),
            Orientation::FlipVertical => (x, height - 1 - y),
            Orientation::Rotate180 => (width - 1 - x, height - 1 - y),
            Orientation::Rotate90 => (y, height - 1 - x),
            Orientation::Rotate270 => (width - 1 - y, x),
            Orientation::Rotate90FlipH => (y, x),
            Orientation::Rotate270FlipH => (width - 1 - y, height - 1 - x),
        };
        *self.picture.get_pixel(x, y)
    }
}

/// Writes a picture of whatever kind of colour as a WebP of this quality, of 100.
pub(super) fn write_webp(picture: &DynamicImage, quality: f32) -> Result<Vec<u8>, Refusal> {
    let (width, height) = (picture.width(), picture.height());
    let write = |encoder: webp::Encoder<'_>| encoder.encode_simple(false, quality).map(|bytes| bytes.to_vec());
    let written = match picture {
        DynamicImage::ImageRgb8(picture) => write(webp::Encoder::from_rgb(picture, width, height)),
        DynamicImage::ImageRgba8(picture) => write(webp::Encoder::from_rgba(picture, width, height)),
        other if other.color().has_alpha() => write(webp::Encoder::from_rgba(&other.to_rgba8(), width, height)),
        other => write(webp::Encoder::from_rgb(&other.to_rgb8(), width, height)),
    };
    written.map_err(|_| Refusal::Damaged)
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
