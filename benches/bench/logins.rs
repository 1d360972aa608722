//! Logins: how many, how long, whether their time tells who has an account, and what a storm of them costs the others.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::runtime::Runtime;

use crate::Args;
use crate::load::{self, Load, Requests};
use crate::process::Server;

/// argon2id: KiB and passes of `config/default.toml`.
const SETTINGS: (u32, u32) = (19_456, 2);

/// How often each answer is timed.
const TIMES: usize = 100;

/// What was measured.
pub(crate) struct Logins {
    /// A second, with as many clients as the other rows.
    rate: f64,
    /// Hashes a second of as many threads as the server hashes on, with nothing around them.
    bare: f64,
    /// Sorted times of a login, of a wrong password, of an unknown address, one at a time.
    took: Vec<Vec<Duration>>,
    /// Cached reads a second without and with a storm of logins beside them.
    quiet: f64,
    storm: f64,
    threads: usize,
}

pub(crate) fn measure(args: &Args, runtime: &Runtime, data_dir: &Path, url: &str) -> anyhow::Result<Logins> {
    let seconds = Duration::from_secs(args.seconds);
    // Wrong passwords are timed here, not counted.
    let shop = Server::agape(&args.binary, data_dir, url, &[("AGAPE_AUTH__LOCK_AFTER_FAILURES", "1000000")])?;
    runtime.block_on(load::by_turns(shop.address, &[Requests::Register], 1))?;
    let kinds = [Requests::Login, Requests::WrongPassword, Requests::UnknownAddress];
    runtime.block_on(load::by_turns(shop.address, &kinds, 10))?;
    let took = runtime.block_on(load::by_turns(shop.address, &kinds, TIMES))?;
    let run = |requests, clients| runtime.block_on(Load { address: shop.address, clients, seconds }.run(&requests));
    let rate = run(Requests::Login, args.clients)?;
    let quiet = run(Requests::Product, args.clients)?;
    let over = AtomicBool::new(false);
    let storm = std::thread::scope(|scope| -> anyhow::Result<f64> {
        let logins = scope.spawn(|| -> anyhow::Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            while !over.load(Ordering::Relaxed) {
                let short = Duration::from_millis(200);
                let load = Load { address: shop.address, clients: args.clients, seconds: short };
                runtime.block_on(load.run(&Requests::Login))?;
            }
            Ok(())
        });
        let storm = run(Requests::Product, args.clients);
        over.store(true, Ordering::Relaxed);
        logins.join().map_err(|_| anyhow::anyhow!("the storm of logins ended early"))??;
        storm
    })?;
    shop.stop()?;
    let threads = (std::thread::available_parallelism().map_or(2, usize::from) / 2).max(1);
    let bare = bare(threads, seconds)?;
    Ok(Logins { rate, bare, took, quiet, storm, threads })
}

/// Checks of a password a second.
fn bare(threads: usize, seconds: Duration) -> anyhow::Result<f64> {
    let params = Params::new(SETTINGS.0, SETTINGS.1, 1, None).map_err(|error| anyhow::anyhow!("{error}"))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(b"Test@1234").map_err(|error| anyhow::anyhow!("{error}"))?.to_string();
    let started = Instant::now();
    let checks: u32 = std::thread::scope(|scope| {
        let check = || {
            let mut checks = 0;
            while started.elapsed() < seconds {
                let fits =
                    PasswordHash::new(&hash).is_ok_and(|hash| argon2.verify_password(b"Test@1234", &hash).is_ok());
                checks += u32::from(fits);
            }
            checks
        };
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(check)).collect();
        all.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    Ok(f64::from(checks) / started.elapsed().as_secs_f64())
}

impl Logins {
    pub(crate) fn print(&self) {
        let at = |took: &[Duration], percent: usize| {
            took.get(took.len() * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        println!(
            "\nlogins           {:.0}/s, {:.2} of the {:.0}/s that argon2id ({} KiB, {} passes) checks on {} thread(s) alone",
            self.rate,
            self.rate / self.bare,
            self.bare,
            SETTINGS.0,
            SETTINGS.1,
            self.threads
        );
        for (name, took) in ["right password", "wrong password", "unknown address"].iter().zip(&self.took) {
            println!(
                "{name:<16} {:.1} ms median, {:.1} ms at 95 % of {TIMES}, one at a time",
                at(took, 50),
                at(took, 95)
            );
        }
        if let [_, wrong, unknown] = &self.took[..] {
            println!(
                "wrong / unknown  {:.3} of the medians: 1 tells nobody who has an account",
                at(wrong, 50) / at(unknown, 50)
            );
        }
        println!(
            "beside a storm   {:.2} of the cached reads go on ({:.0}/s of {:.0}/s)",
            self.storm / self.quiet,
            self.storm,
            self.quiet
        );
    }
}
