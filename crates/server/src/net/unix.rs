//! The internal listener as a unix socket: its file, and who may use it. The file's mode is the whole
//! access control, so it is set before anybody can connect; and no file that is not a dead socket of
//! ours is ever removed.

use crate::config::UnixSocket;
use crate::config::data_dir::if_there;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections the kernel holds for us while we are busy.
const BACKLOG: i32 = 4_096;

/// A listening unix socket; its file goes with this value.
pub(crate) struct Socket {
    listener: UnixListener,
    path: PathBuf,
    /// Device and inode of our file, because another process may have put its own at our path by now. None for a socket that
    /// another process holds, whose file is not ours.
    file: Option<(u64, u64)>,
}

impl Socket {
    /// Listens. A socket file that nobody listens on, left by a process that was killed, is replaced.
    pub(crate) fn bind(config: &UnixSocket) -> std::io::Result<Socket> {
        use socket2::{Domain, SockAddr, Type};
        make_way(&config.path)?;
        // Bound under another name, given its mode, then moved: under its own name it never had another.
        let making = making(&config.path, std::process::id());
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(&making)?)?;
        let ready = std::fs::set_permissions(&making, std::fs::Permissions::from_mode(config.mode))
            .and_then(|()| socket.listen(BACKLOG))
            .and_then(|()| std::fs::symlink_metadata(&making))
            .and_then(|file| std::fs::rename(&making, &config.path).map(|()| file));
        let file = ready.inspect_err(|_| {
            // Ours, made a moment ago.
            let _ = std::fs::remove_file(&making);
        })?;
        Ok(Socket {
            listener: socket.into(),
            path: config.path.clone(),
            file: Some((file.dev(), file.ino())),
        })
    }

    /// Whether a socket that was bound to this name listens at `path`: the name that its process gave it before it was moved
    /// is the one that the kernel knows.
    pub(crate) fn is_at(bound: &Path, path: &Path) -> bool {
        let maker = bound.extension().and_then(|end| end.to_str()?.parse().ok());
        bound == path || maker.is_some_and(|maker| bound == making(path, maker))
    }

    /// The socket that another process holds at this path.
    pub(crate) fn handed(listener: UnixListener, path: &Path) -> Self {
        Self {
            listener,
            path: path.to_owned(),
            file: None,
        }
    }

    /// Whether another process holds it, too.
    pub(crate) fn is_held(&self) -> bool {
        self.file.is_none()
    }

    /// The same socket for one more thread.
    pub(crate) fn share(&self) -> std::io::Result<UnixListener> {
        self.listener.try_clone()
    }
}

/// The name of a socket that this process makes for `path`.
fn making(path: &Path, process: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{process}"));
    PathBuf::from(name)
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ours = std::fs::symlink_metadata(&self.path)
            .is_ok_and(|file| Some((file.dev(), file.ino())) == self.file);
        if ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes a dead socket; refuses to touch anything else.
fn make_way(path: &Path) -> std::io::Result<()> {
    let Some(file) = if_there(std::fs::symlink_metadata(path))? else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err(Error::new(
            ErrorKind::AlreadyExists,
            "a file that is no socket is there",
        ));
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => std::fs::remove_file(path),
        // Somebody listens, or may.
        _ => Err(ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &Path, mode: u32) -> UnixSocket {
        UnixSocket {
            path: path.to_owned(),
            mode,
        }
    }

    #[test]
    fn the_file_has_its_mode_and_goes_with_the_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("check.sock");
        let socket = Socket::bind(&at(&path, 0o600)).unwrap();
        let mode = std::fs::symlink_metadata(&path)
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_dead_socket_is_replaced_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("check.sock");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "a listener that was killed leaves its file");
        let socket = Socket::bind(&at(&path, 0o600)).unwrap();
        let refused = |what| Socket::bind(&at(&path, 0o600)).err().expect(what).kind();
        assert_eq!(refused("a live socket is there"), ErrorKind::AddrInUse);
        // Somebody put another in its place: that one stays.
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "precious").unwrap();
        drop(socket);
        assert_eq!(refused("a file is there"), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    }
}
