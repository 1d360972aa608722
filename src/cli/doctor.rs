//! `agape doctor`

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::ExitCode;

use crate::boot::{self, Server};
use crate::features::{audit, auth, events, inventory, payments, webhooks};
use crate::platform::clock::Clock;
use crate::platform::config::Config;
use crate::platform::db::{self, MigrationState};

/// What was found, and how to mend it.
type Finding = Result<String, String>;

pub(super) async fn run(config: Config) -> anyhow::Result<ExitCode> {
    let mut findings: Vec<(&str, Finding)> = Vec::new();
    findings.push((
        "settings",
        Ok(format!("valid, {}", if config.is_production() { "production" } else { "development" })),
    ));
    findings.push(("data directory", private_files(&config)));
    let server = match Server::start(&config, true).await {
        Ok(server) => server,
        Err(error) => {
            findings.push(("database", Err(format!("{error:#}"))));
            return Ok(print(&findings));
        }
    };
    findings.extend(database(config, &server.url).await);
    server.stop().await?;
    Ok(print(&findings))
}

/// Prints every finding. The exit code tells whether one is bad.
fn print(findings: &[(&str, Finding)]) -> ExitCode {
    for (name, finding) in findings {
        match finding {
            Ok(text) => println!("ok    {name}: {text}"),
            Err(text) => println!("FAIL  {name}: {text}"),
        }
    }
    ExitCode::from(u8::from(findings.iter().any(|(_, finding)| finding.is_err())))
}

/// Whether the files of secrets are their owner's alone.
fn private_files(config: &Config) -> Finding {
    let files = [boot::signing_key(config), config.server.data_dir.join("keys/encryption.key")];
    for file in files.iter().filter(|file| file.exists()) {
        let mode = std::fs::metadata(file).map_err(|error| format!("{} {error}", file.display()))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(format!("others may read {}; run: chmod 600 {}", file.display(), file.display()));
        }
    }
    let shown = |path: &Path| path.display().to_string();
    Ok(shown(&config.server.data_dir))
}

async fn database(config: Config, url: &str) -> Vec<(&'static str, Finding)> {
    let mut findings: Vec<(&str, Finding)> = Vec::new();
    let missing = match db::migration_status(url).await {
        Ok(status) => status.iter().filter(|migration| migration.state == MigrationState::Missing).count(),
        Err(error) => {
            findings.push(("database", Err(format!("{error:#}"))));
            return findings;
        }
    };
    findings.push(("database", Ok("answers".into())));
    if missing > 0 {
        findings.push(("migrations", Err(format!("{missing} are missing; run: agape migrate up"))));
        return findings;
    }
    findings.push(("migrations", Ok("all applied".into())));
    let sandbox = config.uses_sandbox();
    let app = match boot::build(config, url, Clock::default()).await {
        Ok(app) => app,
        Err(error) => {
            findings.push(("keys", Err(format!("{error:#}"))));
            return findings;
        }
    };
    let keys = app.token_keys.states(app.clock.now());
    findings.push((
        "signing keys",
        Ok(keys.iter().map(|key| format!("{} {}", key.kid, key.state)).collect::<Vec<_>>().join(", ")),
    ));
    findings.push(("audit log", audit_log(&app).await));
    findings.push(("stock", stock(&app).await));
    findings.push(("refunds", refunds(&app).await));
    findings.push(("events", filed_events(&app).await));
    findings.push(("provider's events", provider_events(&app).await));
    findings.push((
        "administrator",
        match auth::has_admin(&app).await {
            Ok(true) => Ok("there is one".into()),
            Ok(false) => Err("there is none; run: agape admin create --email … --name …".into()),
            Err(error) => Err(error.to_string()),
        },
    ));
    if let Some(redis) = &app.redis {
        let finding = if redis.is_up() { Ok("answers".into()) } else { Err("does not answer (redis.url)".into()) };
        findings.push(("redis", finding));
    }
    findings.push(("mail", app.mailer.check().await.map_err(|error| format!("{error:#} (mail.smtp_url)"))));
    for (name, found) in app.media.check().await {
        findings.push((name, found.map_err(|error| format!("{error:#}"))));
    }
    findings.push(("payments", Ok(if sandbox { "the built-in sandbox; no money moves" } else { "Paystack" }.into())));
    app.db.close().await;
    findings
}

async fn audit_log(app: &crate::app::App) -> Finding {
    let chain =
        async { Ok::<_, crate::platform::error::Error>(audit::check_chain(&mut *app.db.acquire().await?).await?) };
    let chain = chain.await.map_err(|error| error.to_string())?;
    if let Some((seq, fault)) = chain.faults.first() {
        return Err(format!(
            "the chain is broken at entry {seq}: {fault}. Somebody has written to the table past the program: compare it \
             with a backup from before, and treat it as a security incident"
        ));
    }
    let head = chain.head.map(|hash| format!(", head {}", hex::encode(hash))).unwrap_or_default();
    Ok(format!("{} entries, every link fits{head}", chain.entries))
}

/// Whether the events are of this server, so that those who follow them are told.
async fn filed_events(app: &crate::app::App) -> Finding {
    let misplaced = async {
        let mut connection = app.db.acquire().await?;
        Ok::<_, crate::platform::error::Error>(events::misplaced(&mut connection).await?)
    };
    match misplaced.await.map_err(|error| error.to_string())? {
        0 => Ok("all can be read".into()),
        count => Err(format!(
            "{count} are filed under transactions that this server has not had yet, and nobody is told of them: the database comes \
             from a dump of another one. Stop the shop and run: select refile_events()"
        )),
    }
}

/// Whether each payment says what its refunds add up to, and orders are as their money is.
async fn refunds(app: &crate::app::App) -> Finding {
    let proof = async {
        let mut connection = app.db.acquire().await?;
        Ok::<_, crate::platform::error::Error>(payments::refund_faults(&mut connection).await?)
    };
    let faults = proof.await.map_err(|error| error.to_string())?;
    let Some(fault) = faults.first() else { return Ok("each payment is the sum of its refunds".into()) };
    Err(format!(
        "{} payments differ from their refunds, first that of order {} ({}): {} counted where the refunds give {} in minor \
         units. Somebody has written to the tables past the program: compare with the provider's dashboard, and mend by hand",
        faults.len(),
        fault.order_number,
        fault.order_status,
        fault.counted,
        fault.summed,
    ))
}

/// Whether all that the payment provider has told could be worked on.
async fn provider_events(app: &crate::app::App) -> Finding {
    let failed = async {
        let mut connection = app.db.acquire().await?;
        Ok::<_, crate::platform::error::Error>(webhooks::failed_events(&mut connection).await?)
    };
    match failed.await.map_err(|error| error.to_string())? {
        0 => Ok("none has failed".into()),
        count => Err(format!(
            "{count} could not be worked on. GET /api/v1/admin/webhook-events?status=failed says why; mend that, and have them \
             worked on again with POST …/replay"
        )),
    }
}

/// Whether each level is the sum of its movements, and what is set aside the sum of what orders hold.
async fn stock(app: &crate::app::App) -> Finding {
    let proof = async {
        let mut connection = app.db.acquire().await?;
        let faults = inventory::ledger_faults(&mut connection).await?;
        Ok::<_, crate::platform::error::Error>((faults, inventory::count_levels(&mut connection).await?))
    };
    let (faults, levels) = proof.await.map_err(|error| error.to_string())?;
    let Some(fault) = faults.first() else { return Ok(format!("{levels} levels, each the sum of its movements")) };
    Err(format!(
        "{} levels differ from their ledger, first that of variant {}: {} on hand where the movements give {}, {} set aside \
         where the movements give {} and orders hold {}. Somebody has written to the tables past the program: count the goods, \
         mend the row by hand to what the movements give, and enter the count as staff",
        faults.len(),
        fault.variant_id,
        fault.on_hand,
        fault.on_hand_moved,
        fault.reserved,
        fault.reserved_moved,
        fault.held,
    ))
}
