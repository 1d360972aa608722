//! Pictures that may move.

use gif::{ColorOutput, DecodeOptions, MemoryLimit, Repeat};

use super::model::Format;
use super::process::{Processed, Refusal, check_size};

/// Most frames of a picture that moves.
pub(super) const MAX_FRAMES: u32 = 500;

/// Most pixels of all frames together.
const MAX_PIXELS: u64 = 50_000_000;

/// A GIF keeps its frames, their times and its palette, byte for byte in its colours; texts and foreign blocks go.
pub(super) fn rewrite(bytes: &[u8], memory: u64) -> Result<Processed, Refusal> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    options.set_memory_limit(MemoryLimit::Bytes(memory.max(1).try_into().map_err(|_| Refusal::TooManyPixels)?));
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
