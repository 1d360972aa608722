//! Pictures for tests, honest and not.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat, Rgb, RgbImage};

/// Red on its left half, blue on its right.
pub fn picture(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
    let pixel = |x, _| if x < width / 2 { Rgb([220, 20, 20]) } else { Rgb([20, 20, 220]) };
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(RgbImage::from_fn(width, height, pixel)).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

pub fn jpeg(width: u32, height: u32) -> Vec<u8> {
    picture(ImageFormat::Jpeg, width, height)
}

/// A JPEG that a camera held sideways has written (orientation 6), with the camera's name and a comment.
pub fn jpeg_of_a_camera(width: u32, height: u32) -> Vec<u8> {
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0".to_vec();
    // Make: an ASCII text of 13 bytes at offset 38. Orientation: a short.
    exif.extend(b"\x0F\x01\x02\0\x0D\0\0\0\x26\0\0\0");
    exif.extend(b"\x12\x01\x03\0\x01\0\0\0\x06\0\0\0");
    exif.extend(b"\0\0\0\0SecretCamera\0");
    let segment = |marker: u8, content: &[u8]| {
        let length = u16::try_from(content.len() + 2).unwrap().to_be_bytes();
        [&[0xFF, marker][..], &length, content].concat()
    };
    let plain = jpeg(width, height);
    [&plain[..2], &segment(0xE1, &exif), &segment(0xFE, b"SecretComment"), &plain[2..], b"SecretTail"].concat()
}

/// A chunk of a PNG.
pub fn png_chunk(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let checked = [&kind[..], content].concat();
    let crc = checked.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 })
    });
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&length[..], &checked, &(!crc).to_be_bytes()].concat()
}

/// A PNG with another chunk after its head.
pub fn png_with(chunk: &[u8]) -> Vec<u8> {
    let plain = picture(ImageFormat::Png, 20, 10);
    [&plain[..33], chunk, &plain[33..]].concat()
}

/// A tiny PNG whose head claims a size.
pub fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let plain = picture(ImageFormat::Png, 20, 10);
    let head = [&width.to_be_bytes()[..], &height.to_be_bytes(), &plain[24..29]].concat();
    [&plain[..8], &png_chunk(b"IHDR", &head), &plain[33..]].concat()
}

/// A GIF whose frames change one pixel of a canvas, with a comment.
pub fn gif(width: u16, height: u16, frames: u16) -> Vec<u8> {
    let mut encoder = gif::Encoder::new(Vec::new(), width, height, &[255, 0, 0, 0, 0, 255]).unwrap();
    encoder.set_repeat(gif::Repeat::Infinite).unwrap();
    encoder.write_raw_extension(gif::AnyExtension(0xFE), &[b"SecretComment"]).unwrap();
    for i in 0..frames {
        let (w, h) = if i == 0 { (width, height) } else { (1, 1) };
        let pixels = vec![u8::try_from(i % 2).unwrap(); usize::from(w) * usize::from(h)];
        let mut frame = gif::Frame { width: w, height: h, delay: 7, ..gif::Frame::default() };
        frame.buffer = pixels.into();
        encoder.write_frame(&frame).unwrap();
    }
    encoder.into_inner().unwrap()
}

/// A WebP that moves.
pub fn moving_webp() -> Vec<u8> {
    let config = webp::WebPConfig::new().unwrap();
    let mut encoder = webp::AnimEncoder::new(16, 16, &config);
    let frames = [vec![0; 16 * 16 * 4], vec![255; 16 * 16 * 4]];
    for (frame, at) in frames.iter().zip([0, 100]) {
        encoder.add_frame(webp::AnimFrame::from_rgba(frame, 16, 16, at));
    }
    encoder.encode().to_vec()
}
