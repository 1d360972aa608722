//! Finding PostgreSQL.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Error, Options};

/// The oldest major version that is used.
const OLDEST: u32 = 15;

/// One installation of PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) dir: PathBuf,
    /// The major version.
    pub(crate) version: u32,
}

impl Binaries {
    pub(crate) fn postgres(&self) -> PathBuf {
        self.dir.join("postgres")
    }

    pub(crate) fn initdb(&self) -> PathBuf {
        self.dir.join("initdb")
    }
}

/// Finds the first installation that will do: any that is new enough, or the
/// one of version `made_by` if there already is a cluster.
pub(crate) fn find(options: &Options, made_by: Option<u32>) -> Result<Binaries, Error> {
    let candidates = match &options.bin_dir {
        Some(dir) => vec![real(dir).ok_or_else(|| Error::NoBinaries(dir.clone()))?],
        None => candidates(options),
    };
    let mut unfit: Option<Binaries> = None;
    for dir in candidates {
        let version = version(&dir.join("postgres"))?;
        let found = Binaries { dir, version };
        if version >= OLDEST && made_by.is_none_or(|made_by| made_by == version) {
            return Ok(found);
        }
        if unfit.as_ref().is_none_or(|unfit| unfit.version < version) {
            unfit = Some(found);
        }
    }
    match (unfit, made_by) {
        (None, _) => Err(Error::NotInstalled),
        (Some(found), Some(cluster)) if cluster >= OLDEST => {
            Err(Error::OtherVersion { path: options.data_dir.join("postgres"), cluster, found: found.version })
        }
        (Some(found), _) => Err(Error::TooOld { bin_dir: found.dir, version: found.version }),
    }
}

/// The directories that hold the binaries, best first, none twice.
fn candidates(options: &Options) -> Vec<PathBuf> {
    let path = options.search_path.iter().flat_map(std::env::split_paths);
    // Each family sorted by version, so that 17 comes before 9.6 and 16.
    let families = [
        ("/usr/lib/postgresql", ""),
        ("/usr", "pgsql-"),
        ("/opt/homebrew/opt", "postgresql@"),
        ("/usr/local/opt", "postgresql@"),
    ];
    let installed = families.iter().flat_map(|(parent, prefix)| by_version(Path::new(parent), prefix));
    let plain = ["/opt/homebrew/opt/postgresql", "/usr/local/opt/postgresql"];
    let mut found = Vec::new();
    for dir in path.chain(installed).chain(plain.iter().map(|dir| Path::new(dir).join("bin"))) {
        if let Some(dir) = real(&dir).filter(|dir| !found.contains(dir)) {
            found.push(dir);
        }
    }
    found
}

/// `PARENT/PREFIX<version>/bin`, the highest version first.
fn by_version(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir(parent)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.split('.').next()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// The directory where `postgres` really is, if `initdb` is there too. Some
/// people link only `postgres` into a directory of their `PATH`.
fn real(dir: &Path) -> Option<PathBuf> {
    // An empty entry in PATH means the working directory; that is no place to
    // take a database server from.
    if !dir.is_absolute() {
        return None;
    }
    let postgres = fs::canonicalize(dir.join("postgres")).ok()?;
    let dir = postgres.parent()?;
    (postgres.is_file() && dir.join("initdb").is_file()).then(|| dir.to_owned())
}

fn version(postgres: &Path) -> Result<u32, Error> {
    let no_version = |said: String| Error::NoVersion { postgres: postgres.to_owned(), said };
    let output = Command::new(postgres).arg("--version").output().map_err(|error| no_version(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    parse_version(&said).ok_or_else(|| no_version(said.trim().to_owned()))
}

/// The major version in, for example, `postgres (PostgreSQL) 15.4 (Debian …)`.
fn parse_version(said: &str) -> Option<u32> {
    let (_, after) = said.split_once("(PostgreSQL) ")?;
    let digits = after.find(|c: char| !c.is_ascii_digit());
    after[..digits.unwrap_or(after.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (said, version) in [
            ("postgres (PostgreSQL) 15.4 (Debian 15.4-1)\n", Some(15)),
            ("postgres (PostgreSQL) 18beta1\n", Some(18)),
            ("postgres (PostgreSQL) 9.6.24\n", Some(9)),
            ("something else", None),
        ] {
            assert_eq!(parse_version(said), version, "{said}");
        }
    }
}
