//! What a file is, judged by its content.

use imagesize::{Compression, ImageType, blob_size, image_type};

use crate::ImageFormat;

/// A picture's format and size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) format: ImageFormat,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Picture {
    /// Reads the head of a file; `None` if it is no picture of a known format.
    pub(super) fn read(file: &[u8]) -> Option<Self> {
        let format = match image_type(file).ok()? {
            ImageType::Jpeg => ImageFormat::Jpg,
            ImageType::Png => ImageFormat::Png,
            ImageType::Gif => ImageFormat::Gif,
            ImageType::Webp => ImageFormat::Webp,
            ImageType::Heif(Compression::Av1) => ImageFormat::Avif,
            _ => return None,
        };
        let size = blob_size(file).ok()?;
        (size.width > 0 && size.height > 0).then_some(Self { format, width: size.width, height: size.height })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_file_tells_its_format_and_size() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x04\0\0\0\x03\x08\x06\0\0\0";
        let jpg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08\0\x03\0\x04\x03";
        let gif = b"GIF89a\x04\0\x03\0\0\0\0";
        let webp = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x03\0\0\x02\0\0";
        for (file, format) in [
            (&png[..], ImageFormat::Png),
            (&jpg[..], ImageFormat::Jpg),
            (&gif[..], ImageFormat::Gif),
            (&webp[..], ImageFormat::Webp),
        ] {
            assert_eq!(Picture::read(file), Some(Picture { format, width: 4, height: 3 }));
            assert_eq!(Picture::read(&file[..8]), None, "{format}");
        }
        for other in [&b""[..], b"<svg width='4' height='3'/>", b"%PDF-1.7", b"BM", b"GIF89a\0\0\x03\0\0\0\0"] {
            assert_eq!(Picture::read(other), None);
        }
    }
}
