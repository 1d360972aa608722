//! `agape config`

use crate::platform::config::Settings;

pub(super) fn run(settings: &Settings) -> anyhow::Result<()> {
    print!("{}", settings.masked());
    // Printed first, so that a fault can be seen in its place.
    settings.config()?;
    Ok(())
}
