//! The user the server runs as.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Uid, User, geteuid};

use crate::Error;

/// Who the server runs as: ourselves or, when we are root, somebody else.
#[derive(Debug, Clone)]
pub(crate) enum ServerUser {
    Ourselves { uid: u32 },
    Other { uid: u32, gid: u32 },
}

impl ServerUser {
    /// Chooses the user for `cluster`, which need not exist yet.
    pub(crate) fn for_cluster(cluster: &Path) -> Result<Self, Error> {
        let we = geteuid();
        let owner = match fs::metadata(cluster) {
            Ok(found) => Some((found.uid(), found.gid())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Error::io("read", cluster)(error)),
        };
        if !we.is_root() {
            return match owner {
                Some((owner, _)) if owner != we.as_raw() => {
                    Err(Error::WrongOwner { path: cluster.to_owned(), owner, expected: we.as_raw() })
                }
                _ => Ok(Self::Ourselves { uid: we.as_raw() }),
            };
        }
        if let Some((uid, gid)) = owner.filter(|(uid, _)| *uid != 0) {
            return Ok(Self::Other { uid, gid });
        }
        ["postgres", "nobody"]
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self::Other { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(Error::NoServerUser)
    }

    pub(crate) fn uid(&self) -> u32 {
        match self {
            Self::Ourselves { uid } | Self::Other { uid, .. } => *uid,
        }
    }

    /// Hands a file or directory of ours to the user.
    pub(crate) fn give(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves { .. } => Ok(()),
            Self::Other { uid, gid } => {
                std::os::unix::fs::lchown(path, Some(*uid), Some(*gid)).map_err(Error::io("change the owner of", path))
            }
        }
    }

    /// Checks that the user may enter `directory` and all those above it. It
    /// looks at the permission bits only, not at access control lists.
    pub(crate) fn may_enter(&self, directory: &Path) -> Result<(), Error> {
        let Self::Other { uid, gid } = self else {
            return Ok(());
        };
        for above in directory.ancestors().collect::<Vec<_>>().into_iter().rev() {
            let found = fs::metadata(above).map_err(Error::io("read", above))?;
            let bit = if found.uid() == *uid {
                0o100
            } else if found.gid() == *gid {
                0o010
            } else {
                0o001
            };
            if found.mode() & bit == 0 {
                let name = User::from_uid(Uid::from_raw(*uid)).ok().flatten();
                return Err(Error::NoEntry {
                    directory: above.to_owned(),
                    user: name.map_or_else(|| uid.to_string(), |user| user.name),
                });
            }
        }
        Ok(())
    }

    /// A command that runs as the user, in a clean environment and apart from
    /// our terminal: Ctrl-C is for us alone, who still have work to finish
    /// before the server may go.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        // English messages, no time zone, port or other setting picked up from
        // whoever starts us.
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .process_group(0);
        if let Self::Other { uid, gid } = self {
            // The standard library also drops root's other groups.
            command.gid(*gid).uid(*uid);
        }
        command
    }
}

/// Has the kernel send `signal` to the command's process when the thread that
/// starts it ends, be it by `kill -9` of the whole program. Linux only; other
/// systems have nothing like it.
#[cfg(target_os = "linux")]
pub(crate) fn die_with_thread(command: &mut Command, signal: nix::sys::signal::Signal) {
    use nix::errno::Errno;
    use nix::sys::prctl::set_pdeathsig;
    use nix::unistd::{getpid, getppid};

    let parent = getpid();
    let before_exec = move || {
        set_pdeathsig(signal)?;
        // The parent may have died just before.
        if getppid() != parent {
            return Err(Errno::ESRCH.into());
        }
        Ok(())
    };
    #[expect(
        unsafe_code,
        reason = "only code in the child itself can ask for this; it makes two system calls, \
                  both async-signal-safe, and allocates nothing"
    )]
    // SAFETY: the closure does nothing that is forbidden between fork and exec.
    // It runs after the change of user, which would undo the request.
    unsafe {
        command.pre_exec(before_exec);
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn die_with_thread(_: &mut Command, _: nix::sys::signal::Signal) {}
