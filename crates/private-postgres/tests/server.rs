//! A private server through its life, on the installed PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a failed test may panic anywhere")]

mod common;

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use common::{directory, eventually, gone, hold, options, signal, sql, sql_in_background};
use nix::sys::signal::Signal;
use private_postgres::{Error, PrivatePostgres, attach};

#[test]
fn keeps_data_from_one_start_to_the_next() {
    let directory = directory();
    let options = options(&directory.path().join("new/data"));
    assert_eq!(attach(&options).unwrap(), None);

    let server = PrivatePostgres::start(&options).unwrap();
    let pid = server.pid();
    assert_eq!(sql(&server.url("postgres"), "select 1"), "1");
    assert_eq!(sql(&server.url("postgres"), "select current_user"), "agape");
    sql(&server.url("postgres"), "create database shop");
    sql(&server.url("shop"), "create table t as select 42 as n");
    let mode = fs::metadata(server.socket_dir()).unwrap().mode();
    assert_eq!(mode & 0o777, 0o700);
    let attached = attach(&options).unwrap().unwrap();
    assert_eq!((attached.pid(), attached.url("shop")), (pid, server.url("shop")));
    server.stop().unwrap();
    assert!(gone(pid));
    assert_eq!(attach(&options).unwrap(), None);

    let server = PrivatePostgres::start(&options).unwrap();
    assert_eq!(sql(&server.url("shop"), "select n from t"), "42");
    let pid = server.pid();
    drop(server);
    assert!(gone(pid));
}

#[test]
fn applies_settings_but_stays_private() {
    let directory = directory();
    let mut options = options(directory.path());
    for (name, value) in [("max_connections", "33"), ("listen_addresses", "*"), ("port", "6000")] {
        options.settings.push((name.to_owned(), value.to_owned()));
    }
    let server = PrivatePostgres::start(&options).unwrap();
    let show = |name: &str| sql(&server.url("postgres"), &format!("show {name}"));
    assert_eq!(show("max_connections"), "33");
    assert_eq!(show("listen_addresses"), "");
    assert_eq!(show("port"), "5432");
    assert_eq!(show("fsync"), "off");
    assert_eq!(show("server_encoding"), "UTF8");
    assert_eq!(show("timezone"), "UTC");
}

#[test]
fn wrong_setting_is_reported_with_the_log() {
    let directory = directory();
    let mut options = options(directory.path());
    options.settings.push(("max_connections".to_owned(), "lots".to_owned()));
    let error = PrivatePostgres::start(&options).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    assert!(error.to_string().contains("max_connections"), "{error}");
}

#[test]
fn one_owner_at_a_time() {
    let directory = directory();
    let options = options(directory.path());
    let server = PrivatePostgres::start(&options).unwrap();
    match PrivatePostgres::start(&options).unwrap_err() {
        Error::InUse { pid, .. } => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other}"),
    }
    assert_eq!(sql(&server.url("postgres"), "select 1"), "1");
}

#[test]
fn stale_files_that_name_another_process() {
    let directory = directory();
    let options = options(directory.path());
    let server = PrivatePostgres::start(&options).unwrap();
    let socket_dir = server.socket_dir().to_owned();
    signal(server.pid(), Signal::SIGKILL);
    server.stop().unwrap();

    let cluster = fs::canonicalize(directory.path()).unwrap().join("postgres");
    // Our parent lives for sure, and PostgreSQL would not know it for harmless.
    let stale = format!(
        "{}\n{}\n1700000000\n5432\n{}\n\n  0  0\nready   \n",
        nix::unistd::getppid(),
        cluster.display(),
        socket_dir.display()
    );
    for file in [cluster.join("postmaster.pid"), socket_dir.join(".s.PGSQL.5432.lock")] {
        assert!(file.exists());
        fs::write(file, &stale).unwrap();
    }
    assert_eq!(attach(&options).unwrap(), None);
    let server = PrivatePostgres::start(&options).unwrap();
    assert_eq!(sql(&server.url("postgres"), "select 1"), "1");
}

#[test]
fn survives_a_kill_of_the_server() {
    let directory = directory();
    let mut options = options(directory.path());
    options.durable = true;
    let server = PrivatePostgres::start(&options).unwrap();
    let url = server.url("postgres");
    sql(&url, "create table t as select 42 as n");
    // Some of the dead server's processes are busy and notice late.
    let mut client = sql_in_background(&url, "select pg_sleep(600)");
    eventually("the client waits", || {
        let count = "select count(*) from pg_stat_activity where query like '%pg_sleep(600)'";
        (sql(&url, count) == "1").then_some(())
    });
    signal(server.pid(), Signal::SIGKILL);
    server.stop().unwrap();

    let server = PrivatePostgres::start(&options).unwrap();
    assert_eq!(sql(&server.url("postgres"), "select n from t"), "42");
    client.wait().unwrap();
}

/// A server ends with an owner that ends in the ordinary way. With `HOLD` in its environment this test is that owner,
/// for itself and for the tests that kill it.
#[test]
fn ends_with_its_owner() {
    if let Some(data_dir) = std::env::var_os(common::HOLD) {
        let _server = PrivatePostgres::start(&options(data_dir.as_ref())).unwrap();
        // Lasts until the test that started us ends or kills us.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        return;
    }
    let directory = directory();
    let mut owner = hold(directory.path());
    let options = options(directory.path());
    eventually("the server is ready", || attach(&options).unwrap());
    drop(owner.stdin.take());
    assert!(owner.wait().unwrap().success());
    assert!(attach(&options).unwrap().is_none());
}

#[test]
fn survives_a_kill_of_its_owner() {
    let directory = directory();
    let options = options(directory.path());
    let mut owner = hold(directory.path());
    let held = eventually("the server is ready", || attach(&options).unwrap());
    match PrivatePostgres::start(&options).unwrap_err() {
        Error::InUse { pid, .. } => assert_eq!(pid, Some(owner.id())),
        other => panic!("{other}"),
    }
    sql(&held.url("postgres"), "create table t as select 42 as n");
    owner.kill().unwrap();
    owner.wait().unwrap();
    if cfg!(target_os = "linux") {
        eventually("the server follows its owner", || attach(&options).unwrap().is_none().then_some(()));
    }
    let server = PrivatePostgres::start(&options).unwrap();
    assert_ne!(server.pid(), held.pid());
    assert_eq!(sql(&server.url("postgres"), "select n from t"), "42");
}

#[test]
fn takes_over_from_a_killed_owner_at_once() {
    let directory = directory();
    let options = options(directory.path());
    for n in 0..3 {
        let mut owner = hold(directory.path());
        let held = eventually("the server is ready", || attach(&options).unwrap());
        let url = held.url("postgres");
        sql(&url, "create table if not exists t (n int)");
        sql(&url, &format!("insert into t values ({n})"));
        owner.kill().unwrap();
        owner.wait().unwrap();
        // The old server is still shutting down.
        let server = PrivatePostgres::start(&options).unwrap();
        let count = sql(&server.url("postgres"), "select count(*) from t");
        assert_eq!(count, (n + 1).to_string());
    }
}

#[test]
fn survives_a_kill_while_making_the_cluster() {
    let directory = directory();
    let unfinished = || -> Vec<_> {
        let entries = fs::read_dir(directory.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("postgres.new-")).collect()
    };
    let mut owner = hold(directory.path());
    eventually("initdb is at work", || {
        let name = unfinished().pop()?;
        directory.path().join(name).join("base").exists().then_some(())
    });
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(unfinished().len(), 1);

    let server = PrivatePostgres::start(&options(directory.path())).unwrap();
    assert_eq!(sql(&server.url("postgres"), "select 1"), "1");
    assert!(unfinished().is_empty());
}

#[test]
fn foreign_data_is_left_alone() {
    let directory = directory();
    let cluster = directory.path().join("postgres");
    fs::create_dir(&cluster).unwrap();
    fs::write(cluster.join("letter"), "dear").unwrap();
    let error = PrivatePostgres::start(&options(directory.path())).unwrap_err();
    assert!(matches!(error, Error::NotACluster(_)), "{error}");
    assert!(cluster.join("letter").exists());

    fs::write(cluster.join("PG_VERSION"), "99\n").unwrap();
    let error = PrivatePostgres::start(&options(directory.path())).unwrap_err();
    assert!(matches!(error, Error::OtherVersion { cluster: 99, .. }), "{error}");
}

#[test]
fn long_and_odd_paths() {
    let directory = directory();
    let options = options(&directory.path().join("a, b é".repeat(20)));
    let server = PrivatePostgres::start(&options).unwrap();
    let socket_dir = server.socket_dir().to_owned();
    assert_eq!(socket_dir.parent().unwrap(), "/tmp");
    let url = server.url("postgres");
    assert_eq!(sql(&url, "select 1"), "1");
    assert_eq!(attach(&options).unwrap().unwrap().url("postgres"), url);
    server.stop().unwrap();
    assert!(!socket_dir.exists());

    // Somebody who is not the server's user waits in its place.
    fs::write(&socket_dir, "").unwrap();
    let error = PrivatePostgres::start(&options).unwrap_err();
    fs::remove_file(&socket_dir).unwrap();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    if nix::unistd::geteuid().is_root() {
        fs::create_dir(&socket_dir).unwrap();
        std::os::unix::fs::chown(&socket_dir, Some(12345), None).unwrap();
        let error = PrivatePostgres::start(&options).unwrap_err();
        fs::remove_dir(&socket_dir).unwrap();
        assert!(matches!(error, Error::WrongOwner { .. }), "{error}");
    }
}

#[test]
fn missing_binaries() {
    let directory = directory();
    let mut options = options(&directory.path().join("data"));
    options.bin_dir = Some(directory.path().to_owned());
    let error = PrivatePostgres::start(&options).unwrap_err();
    assert!(matches!(error, Error::NoBinaries(_)), "{error}");
}

#[test]
fn closed_directory_is_named() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let directory = directory();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
    let error = PrivatePostgres::start(&options(&directory.path().join("data"))).unwrap_err();
    match &error {
        Error::NoEntry { directory: closed, .. } => assert_eq!(closed, directory.path()),
        other => panic!("{other}"),
    }
}
