//! Replacing a file, so that whoever reads it finds the old content or the new one, each complete.

use std::fs::{File, Metadata, OpenOptions, TryLockError, create_dir_all, read_dir, remove_file, rename};
use std::io::{Error, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file so that it is complete or is not changed, whatever else is written to the same path at the same time.
///
/// The bytes go into a file beside the path, are forced to the disk, and take the path's name; then the folder is forced
/// to the disk too. Of several writers the last one wins, and no reader sees anything but the whole content of one of
/// them. Missing folders are made. The permissions of a file that is replaced are kept, but not its owner or its other
/// names (hard links). If the path is a symbolic link, the link stays and the file that it leads to is replaced,
/// or made. Temporary files of killed processes that wrote to this path are removed.
///
/// # Errors
/// If the path is there and is no regular file but a folder, a device, a pipe or a socket, or if the file cannot be
/// written. The message begins with the path.
///
/// # Example
/// ```
/// use gradus_train::replace_file;
/// let path = std::env::temp_dir().join(format!("gradus-replace-{}.json", std::process::id()));
/// replace_file(&path, b"[0.7]")?;
/// replace_file(&path, b"[0.7, 0.4]")?;
/// assert_eq!(std::fs::read(&path)?, b"[0.7, 0.4]");
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn replace_file(path: impl AsRef<Path>, bytes: &[u8]) -> Result<(), Error> {
    let path = path.as_ref();
    replace(path, bytes).map_err(|problem| Error::new(problem.kind(), format!("{}: {problem}", path.display())))
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let target = followed(path)?;
    let old = match target.symlink_metadata() {
        Ok(metadata) => Some(metadata),
        Err(problem) if problem.kind() == ErrorKind::NotFound => None,
        Err(problem) => return Err(problem),
    };
    if let Some(old) = &old {
        check_file(old)?;
    }
    let Some(name) = target.file_name() else {
        return Err(Error::new(ErrorKind::InvalidInput, "the path does not end with the name of a file"));
    };
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_dir_all(folder)?;
    // Not all of a long name, as the temporary one must not be longer than names may be.
    let prefix = format!(".{}.", name.to_string_lossy().chars().take(50).collect::<String>());
    remove_stale(folder, &prefix);
    let (temporary, mut file) = temporary(folder, &prefix, old.is_some())?;
    let write = || {
        if let Some(old) = old {
            file.set_permissions(old.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        rename(&temporary, &target)
    };
    write().inspect_err(|_| {
        // Nothing more can be done about a temporary file that cannot be removed.
        let _ = remove_file(&temporary);
    })?;
    sync_folder(folder)
}

/// The path behind the symbolic links that the path itself is; the file there need not exist.
fn followed(path: &Path) -> Result<PathBuf, Error> {
    /// As many as Linux follows.
    const LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(link) = path.read_link() else { return Ok(path) };
        path.pop();
        path.push(link);
    }
    Err(Error::new(ErrorKind::InvalidInput, "too many symbolic links, one leading to the other"))
}

/// Returns an error if it is not a regular file: anything else cannot be read or replaced as a whole.
pub(crate) fn check_file(metadata: &Metadata) -> Result<(), Error> {
    if metadata.is_file() {
        return Ok(());
    }
    let found = if metadata.is_dir() { "a folder" } else { "a device, a pipe or a socket" };
    Err(Error::new(ErrorKind::InvalidInput, format!("it is {found}, not a regular file")))
}

/// A new file in the folder, held by a lock for as long as it is open: so that others can tell whether its writer lives.
fn temporary(folder: &Path, prefix: &str, private: bool) -> Result<(PathBuf, File), Error> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut options = OpenOptions::new();
    // Neither a file nor a symbolic link that is there is opened.
    options.write(true).create_new(true);
    if private {
        // Whom the old file is hidden from cannot open the new one before it has the same permissions.
        keep_private(&mut options);
    }
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{prefix}{}.{count}{SUFFIX}", std::process::id()));
        let file = match options.open(&path) {
            // Left by a process of the same number, which may be one on another machine.
            Err(problem) if problem.kind() == ErrorKind::AlreadyExists => continue,
            opened => opened?,
        };
        // Between creation and lock another writer may have taken the file for a stale one. Where there are no locks,
        // nobody takes a file for a stale one.
        let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || path.symlink_metadata().is_err();
        if !taken {
            return Ok((path, file));
        }
    }
}

const SUFFIX: &str = ".tmp";

#[cfg(unix)]
fn keep_private(options: &mut OpenOptions) {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
}

#[cfg(not(unix))]
fn keep_private(_: &mut OpenOptions) {}

/// Removes the temporary files whose writers have ended: those that nobody holds a lock on. Errors here do not
/// prevent writing.
fn remove_stale(folder: &Path, prefix: &str) {
    let Ok(entries) = read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let middle = name.to_str().and_then(|name| name.strip_prefix(prefix)?.strip_suffix(SUFFIX));
        let numbers = middle.and_then(|middle| middle.split_once('.'));
        let ours =
            numbers.is_some_and(|(process, count)| process.parse::<u32>().is_ok() && count.parse::<u64>().is_ok());
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        if let Ok(file) = OpenOptions::new().write(true).open(entry.path())
            && file.try_lock().is_ok()
        {
            let _ = remove_file(entry.path());
        }
    }
}

/// Forces the names in the folder to the disk, where the system can do that.
fn sync_folder(folder: &Path) -> Result<(), Error> {
    // A folder that may be written to need not be open to reading.
    let Some(folder) = File::open(folder).ok().filter(|_| cfg!(unix)) else { return Ok(()) };
    match folder.sync_all() {
        Err(problem) if !matches!(problem.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Err(problem),
        _ => Ok(()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    /// A folder of its own for a test.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("gradus-replace-{test}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("a folder can be made");
            Self(folder)
        }

        fn names(&self) -> Vec<String> {
            let entries = read_dir(&self.0).expect("the folder can be read");
            let name = |entry: Result<std::fs::DirEntry, Error>| entry.expect("an entry").file_name();
            let mut names: Vec<String> = entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn savers_and_readers_at_the_same_time_see_whole_files() {
        const LENGTH: usize = 4 << 20;
        let folder = Folder::new("concurrent");
        let path = folder.0.join("run");
        replace_file(&path, &vec![0; LENGTH]).expect("the file can be written");
        std::thread::scope(|scope| {
            let savers: Vec<_> = (1..4_u8)
                .map(|saver| {
                    let path = &path;
                    scope.spawn(move || {
                        let content = vec![saver; LENGTH + usize::from(saver)];
                        (0..20).for_each(|_| replace_file(path, &content).expect("the file can be written"));
                    })
                })
                .collect();
            let mut reads = 0;
            while reads < 20 || savers.iter().any(|saver| !saver.is_finished()) {
                let content = std::fs::read(&path).expect("the file is always there");
                let saver = content[0];
                assert_eq!(content.len(), LENGTH + usize::from(saver), "the file of {saver} is torn");
                assert!(content.iter().all(|&byte| byte == saver), "the file of {saver} is mixed");
                reads += 1;
            }
        });
        assert_eq!(folder.names(), ["run"]);
    }

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_write_stays() {
        let folder = Folder::new("stale");
        let path = folder.0.join("run");
        let others = ["run.1.0.tmp", ".run.tmp", ".run.1.tmp", ".run.x.0.tmp", ".other.1.0.tmp", ".run.1.0.tmp.bak"];
        for name in others.iter().chain(&[".run.1.0.tmp", ".run.4294967295.18446744073709551615.tmp"]) {
            std::fs::write(folder.0.join(name), b"stale").expect("the file can be written");
        }
        let living = File::create(folder.0.join(".run.1.1.tmp")).expect("the file can be made");
        living.lock().expect("the file can be locked");
        symlink("run.1.0.tmp", folder.0.join(".run.1.2.tmp")).expect("a link can be made");
        replace_file(&path, b"new").expect("the file can be written");
        let mut left: Vec<&str> = others.iter().copied().chain([".run.1.1.tmp", ".run.1.2.tmp", "run"]).collect();
        left.sort_unstable();
        assert_eq!(folder.names(), left);
        drop(living);
        replace_file(&path, b"newer").expect("the file can be written");
        left.retain(|name| *name != ".run.1.1.tmp");
        assert_eq!(folder.names(), left);
    }

    #[test]
    fn a_name_that_is_taken_is_neither_used_nor_followed() {
        let folder = Folder::new("taken");
        let (first, _file) = temporary(&folder.0, ".run.", false).expect("a file can be made");
        let name = first.file_name().expect("it has a name").to_string_lossy().into_owned();
        let count: u64 = name.split('.').nth(3).expect("a counter").parse().expect("a number");
        let victim = folder.0.join("victim");
        std::fs::write(&victim, b"precious").expect("the file can be written");
        // The other tests use the counter as well: so a good many of the next names are taken.
        for count in count + 1..count + 200 {
            let taken = folder.0.join(format!(".run.{}.{count}.tmp", std::process::id()));
            symlink(&victim, taken).expect("a link can be made");
        }
        replace_file(folder.0.join("run"), b"new").expect("the file can be written");
        assert_eq!(std::fs::read(&victim).expect("it is there"), b"precious");
        assert_eq!(std::fs::read(folder.0.join("run")).expect("it is there"), b"new");
    }

    #[test]
    fn permissions_are_kept() {
        let folder = Folder::new("permissions");
        let path = folder.0.join("run");
        let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o7777;
        replace_file(&path, b"0").expect("the file can be written");
        std::fs::write(folder.0.join("plain"), b"").expect("the file can be written");
        assert_eq!(mode(&path), mode(&folder.0.join("plain")), "a new file has the permissions of any new file");
        for wanted in [0o600, 0o640, 0o664, 0o666, 0o755, 0o444] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(wanted)).expect("they can be set");
            replace_file(&path, b"1").expect("the file can be written");
            assert_eq!(mode(&path), wanted);
        }
        assert_eq!(folder.names(), ["plain", "run"]);
    }

    #[test]
    fn a_link_stays_and_its_file_is_replaced() {
        let folder = Folder::new("links");
        let real = folder.0.join("disk/real");
        replace_file(&real, b"old").expect("the file and its folder can be made");
        symlink("disk/real", folder.0.join("near")).expect("a link can be made");
        symlink(folder.0.join("near"), folder.0.join("far")).expect("a link can be made");
        replace_file(folder.0.join("far"), b"new").expect("the file can be written");
        assert_eq!(std::fs::read(&real).expect("it is there"), b"new");
        assert!(folder.0.join("far").is_symlink() && folder.0.join("near").is_symlink());
        // A link to nothing gets its file.
        symlink("disk/later", folder.0.join("open")).expect("a link can be made");
        replace_file(folder.0.join("open"), b"first").expect("the file can be written");
        assert_eq!(std::fs::read(folder.0.join("disk/later")).expect("it is there"), b"first");
        symlink("round", folder.0.join("round")).expect("a link can be made");
        let error = replace_file(folder.0.join("round"), b"").expect_err("the link leads to itself");
        assert!(error.to_string().ends_with("round: too many symbolic links, one leading to the other"), "{error}");
        assert_eq!(folder.names(), ["disk", "far", "near", "open", "round"]);
    }

    #[test]
    fn only_a_regular_file_is_replaced() {
        let folder = Folder::new("kinds");
        std::fs::create_dir(folder.0.join("folder")).expect("a folder can be made");
        let _socket = UnixListener::bind(folder.0.join("socket")).expect("a socket can be made");
        let made = Command::new("mkfifo").arg(folder.0.join("pipe")).status();
        assert!(made.expect("there is a program that makes pipes").success());
        symlink("pipe", folder.0.join("link")).expect("a link can be made");
        let before = folder.names();
        let kinds = [("folder", "a folder"), ("socket", DEVICE), ("pipe", DEVICE), ("link", DEVICE)];
        const DEVICE: &str = "a device, a pipe or a socket";
        for (name, kind) in kinds {
            let path = folder.0.join(name);
            let was = path.symlink_metadata().expect("it is there").file_type();
            let error = replace_file(&path, b"new").expect_err("it is no regular file");
            assert_eq!(error.to_string(), format!("{}: it is {kind}, not a regular file", path.display()));
            assert_eq!(path.symlink_metadata().expect("it is still there").file_type(), was);
        }
        assert_eq!(folder.names(), before);
        // A device as such: had the function a fault, the test would replace it.
        let error = check_file(&Path::new("/dev/null").metadata().expect("it is there")).expect_err("it is a device");
        assert_eq!(error.to_string(), format!("it is {DEVICE}, not a regular file"));
        let error = replace_file(folder.0.join(".."), b"").expect_err("it is a folder");
        assert!(error.to_string().ends_with("it is a folder, not a regular file"), "{error}");
        let error = replace_file("", b"").expect_err("there is no name");
        assert_eq!(error.to_string(), ": the path does not end with the name of a file");
    }

    #[test]
    fn a_name_may_be_as_long_as_names_may_be() {
        let folder = Folder::new("long");
        for name in ["x".repeat(255), "é".repeat(127)] {
            let path = folder.0.join(&name);
            replace_file(&path, b"new").expect("the file can be written");
            assert_eq!(std::fs::read(&path).expect("it is there"), b"new");
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing() {
        let folder = Folder::new("refused");
        std::fs::write(folder.0.join("file"), b"").expect("the file can be written");
        let path = folder.0.join("file/run");
        let error = replace_file(&path, b"new").expect_err("a file is no folder");
        assert!(error.to_string().starts_with(&format!("{}: ", path.display())), "{error}");
        assert_eq!(folder.names(), ["file"]);
    }
}
