use std::alloc::{GlobalAlloc, Layout as Piece, System};
use std::cell::Cell;

use image::{ImageEncoder, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;
use crate::features::media::model::Size;
use crate::features::media::resize::resize;

/// Counts what this thread has taken, and the most that it ever had at once. What libwebp takes is not seen.
struct Counting;

thread_local! {
    static TAKEN: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    let taken = TAKEN.get() + bytes;
    TAKEN.set(taken);
    PEAK.set(PEAK.get().max(taken));
}

#[expect(unsafe_code, reason = "an allocator is unsafe to write; this one hands everything to the system's")]
// SAFETY: each call is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, piece: Piece) -> *mut u8 {
        count(piece.size().cast_signed());
        unsafe { System.alloc(piece) }
    }

    unsafe fn dealloc(&self, at: *mut u8, piece: Piece) {
        count(-piece.size().cast_signed());
        unsafe { System.dealloc(at, piece) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most bytes that the work had at once beside what was there before.
fn peak<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = TAKEN.get();
    PEAK.set(before);
    let done = work();
    (done, u64::try_from(PEAK.get() - before).unwrap())
}

fn process_file(file: &[u8]) -> Processed {
    process(file, memory_to_process(file).unwrap()).unwrap()
}

fn png(picture: &DynamicImage, profile: Option<Vec<u8>>) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = PngEncoder::new(&mut file);
    if let Some(profile) = profile {
        encoder.set_icc_profile(profile).unwrap();
    }
    picture.write_with_encoder(encoder).unwrap();
    file
}

/// A JPEG that comes into view step by step, of which only the first step is there: grey, tiny, and as large as it likes.
fn step_by_step(width: u16, height: u16) -> Vec<u8> {
    let [[a, b], [c, d]] = [height.to_be_bytes(), width.to_be_bytes()];
    let head = [0xFF, 0xC2, 0, 17, 8, a, b, c, d, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
    let quantities = [&[0xFF, 0xDB, 0, 67, 0][..], &[1; 64]].concat();
    // One code, of one bit, for "as the block before".
    let codes = [&[0xFF, 0xC4, 0, 20, 0, 1][..], &[0; 15], &[0]].concat();
    let scan = [0xFF, 0xDA, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 0, 0];
    let blocks = usize::from(width).div_ceil(8) * usize::from(height).div_ceil(8);
    let bits = vec![0; (blocks * 3).div_ceil(8)];
    [&[0xFF, 0xD8][..], &quantities, &head, &codes, &scan, &bits, &[0xFF, 0xD9]].concat()
}

fn jpeg(picture: &RgbImage) -> Vec<u8> {
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, 90).encode_image(picture).unwrap();
    file
}

/// What is not as smooth as paper and not as rough as noise.
fn cloth(width: u32, height: u32) -> RgbImage {
    let byte = |n: u32| u8::try_from(n % 251).unwrap();
    RgbImage::from_fn(width, height, |x, y| Rgb([byte(x * 7 + y), byte(y * 3 + x / 5), byte(x ^ y)]))
}

/// The bound that the server promises: no picture takes more than was asked for before it was decoded, whatever its kind.
#[test]
fn a_picture_takes_no_more_memory_than_its_head_says() {
    let rgb = DynamicImage::ImageRgb8(cloth(1_200, 900));
    let moving = {
        let mut encoder = ::gif::Encoder::new(Vec::new(), 1_200, 900, &[0, 0, 0, 255, 255, 255]).unwrap();
        for _ in 0..3 {
            let buffer = vec![1; 1_200 * 900].into();
            encoder
                .write_frame(&::gif::Frame { width: 1_200, height: 900, buffer, ..::gif::Frame::default() })
                .unwrap();
        }
        encoder.into_inner().unwrap()
    };
    let deep = png(&DynamicImage::ImageRgba16(rgb.to_rgba16()), Some(ColorProfile::new_display_p3().encode().unwrap()));
    let files = [
        ("jpeg", jpeg(&cloth(1_200, 900))),
        ("jpeg, step by step", step_by_step(1_200, 900)),
        ("png", png(&rgb, Some(ColorProfile::new_display_p3().encode().unwrap()))),
        ("png with transparency", png(&DynamicImage::ImageRgba8(rgb.to_rgba8()), None)),
        ("png of 16 bits", deep),
        ("grey png", png(&DynamicImage::ImageLuma8(rgb.to_luma8()), None)),
        ("webp", write_webp(&rgb, 90.0).unwrap()),
        ("gif", moving),
    ];
    for (name, file) in files {
        let most = memory_to_process(&file).unwrap();
        let (written, taken) = peak(|| process(&file, most));
        let written = written.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        assert!(taken <= most, "{name}: {taken} of {most}");
        // And not so much less that good pictures are refused for nothing.
        assert!(taken * 6 > most - OVERHEAD, "{name}: {taken} of {most}");
        let most = memory_to_resize(&written.bytes, 1_000_000).unwrap();
        let (_, taken) = peak(|| resize(&written.bytes, Size::DETAIL).unwrap());
        assert!(taken <= most, "{name}, in another size: {taken} of {most}");
    }
}

#[test]
fn a_head_is_enough_to_know_a_bomb() {
    // 48 megapixels in three hundred kilobytes, whose coefficients alone are 288 MB.
    let bomb = step_by_step(8_000, 6_000);
    assert!(bomb.len() < 300_000);
    let (need, taken) = peak(|| memory_to_process(&bomb).unwrap());
    assert!(need > 400_000_000, "{need}");
    assert!(taken < 2_000_000, "{taken}");
}

#[test]
fn wide_colours_become_those_of_the_web() {
    let old = RgbImage::from_pixel(8, 8, Rgb([200, 60, 60]));
    let p3 = || Some(ColorProfile::new_display_p3().encode().unwrap());
    let clear = RgbaImage::from_pixel(8, 8, Rgba([200, 60, 60, 255]));
    let shallow = DynamicImage::ImageRgb8(old);
    for (name, picture) in [
        ("8 bits", shallow.clone()),
        ("16 bits", DynamicImage::ImageRgb16(shallow.to_rgb16())),
        ("transparent", DynamicImage::ImageRgba8(clear.clone())),
        ("transparent, 16 bits", DynamicImage::ImageRgba16(DynamicImage::ImageRgba8(clear).to_rgba16())),
    ] {
        let written = process_file(&png(&picture, p3()));
        let new = image::load_from_memory(&written.bytes).unwrap();
        assert_eq!(new.color().bytes_per_pixel(), new.color().channel_count(), "{name}");
        let Rgb([red, green, _]) = *new.into_rgb8().get_pixel(4, 4);
        assert!(red > 208 && green < 55, "{name}: {red} {green}");
    }
    // A profile that nobody understands, or that is not of such a picture, does no harm.
    let grey = ColorProfile::new_gray_with_gamma(2.2).encode().unwrap();
    for profile in [b"nonsense".to_vec(), grey] {
        let written = process_file(&png(&shallow, Some(profile)));
        assert_eq!(*image::load_from_memory(&written.bytes).unwrap().into_rgb8().get_pixel(4, 4), Rgb([200, 60, 60]));
    }
}

#[test]
fn a_turned_view_is_what_turning_makes() {
    let picture = cloth(5, 3);
    for orientation in (1..=8).map(|exif| Orientation::from_exif(exif).unwrap()) {
        let mut turned = DynamicImage::ImageRgb8(picture.clone());
        turned.apply_orientation(orientation);
        let view = Turned { picture: &picture, orientation };
        assert_eq!(view.dimensions(), turned.dimensions(), "{orientation:?}");
        let seen = RgbImage::from_fn(turned.width(), turned.height(), |x, y| view.get_pixel(x, y));
        assert_eq!(seen, turned.into_rgb8(), "{orientation:?}");
    }
}
