//! Where the three listening sockets come from: the gateway that this one takes over from, the service
//! manager, or the operating system.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use listenfd::ListenFd;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::net::TcpListener;

use super::StartError;
use crate::listen;
use crate::sandbox::Addresses;

/// Sockets that are handed over at once.
const SOCKETS_MAX: usize = 3;
/// The word that comes with them.
const SOCKETS: u8 = b'L';
/// The word that the new gateway says when it serves.
pub(super) const READY: u8 = b'R';
/// They are on their way before the new process is started.
const HANDED_WITHIN: Duration = Duration::from_secs(10);

/// The three sockets, bound but not yet served: nothing that takes time happens after a client can
/// connect.
#[derive(Debug)]
pub struct Listeners {
    pub(super) tpp: TcpListener,
    pub(super) psu: TcpListener,
    pub(super) admin: TcpListener,
    /// Where they really are.
    pub addresses: Addresses,
}

/// The gateway that this process takes over from.
#[derive(Debug)]
pub struct Predecessor {
    way: UnixStream,
    sockets: Vec<std::net::TcpListener>,
}

impl Listeners {
    /// Binds what is wanted; port 0 takes any that is free. A socket that the service manager has bound
    /// to a wanted address (`LISTEN_FDS`) is taken as it is.
    ///
    /// # Errors
    /// The first address that cannot be had; a socket that nobody wants.
    pub fn bind(wanted: Addresses) -> Result<Self, StartError> {
        let mut given = Vec::new();
        let mut manager = ListenFd::from_env();
        for index in 0..manager.len() {
            given.extend(manager.take_tcp_listener(index)?);
        }
        let listeners = Self::of(wanted, &mut given)?;
        match given.first() {
            // Clients would wait at it for ever.
            Some(unwanted) => Err(StartError::Unwanted(unwanted.local_addr()?)),
            None => Ok(listeners),
        }
    }

    /// Takes the sockets of the gateway before; binds only what that one does not have.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn take_over(wanted: Addresses, predecessor: &mut Predecessor) -> Result<Self, StartError> {
        let listeners = Self::of(wanted, &mut predecessor.sockets)?;
        // What the configuration names no more ends with the gateway before.
        predecessor.sockets.clear();
        Ok(listeners)
    }

    fn of(wanted: Addresses, given: &mut Vec<std::net::TcpListener>) -> Result<Self, StartError> {
        let mut one = |key, address| {
            let at = |socket: &std::net::TcpListener| {
                socket.local_addr().is_ok_and(|bound| bound == address)
            };
            match given.iter().position(at) {
                Some(index) => {
                    let socket = given.swap_remove(index);
                    socket.set_nonblocking(true)?;
                    Ok::<_, StartError>(TcpListener::from_std(socket)?)
                }
                None => listen::bind(address).map_err(|source| StartError::Bind {
                    key,
                    address,
                    source,
                }),
            }
        };
        let tpp = one("listen.tpp.address", wanted.tpp)?;
        let psu = one("listen.psu.address", wanted.psu)?;
        let admin = one("listen.admin.address", wanted.admin)?;
        let addresses = Addresses {
            tpp: tpp.local_addr()?,
            psu: psu.local_addr()?,
            admin: admin.local_addr()?,
        };
        Ok(Self { tpp, psu, admin, addresses })
    }

    /// The same sockets once more, for whoever takes over.
    pub(super) fn shared(&self) -> io::Result<[OwnedFd; SOCKETS_MAX]> {
        let [tpp, psu, admin] = [&self.tpp, &self.psu, &self.admin];
        let clone = |socket: &TcpListener| socket.as_fd().try_clone_to_owned();
        Ok([clone(tpp)?, clone(psu)?, clone(admin)?])
    }
}

/// Puts the sockets on their way.
pub(super) fn hand_over(way: &UnixStream, sockets: &[OwnedFd; SOCKETS_MAX]) -> io::Result<()> {
    let sockets: [BorrowedFd<'_>; SOCKETS_MAX] = sockets.each_ref().map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&sockets)) {
        return Err(io::Error::other("the sockets do not fit into one message"));
    }
    sendmsg(way, &[IoSlice::new(&[SOCKETS])], &mut ancillary, SendFlags::empty())?;
    Ok(())
}

impl Predecessor {
    /// Takes what the gateway that started this process hands over on standard input.
    ///
    /// # Errors
    /// Standard input is something else, or nothing comes.
    pub fn of_standard_input() -> io::Result<Self> {
        let way = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        way.set_read_timeout(Some(HANDED_WITHIN))?;
        let mut word = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut sockets: Vec<std::net::TcpListener> = Vec::new();
        let flags = RecvFlags::CMSG_CLOEXEC;
        recvmsg(&way, &mut [IoSliceMut::new(&mut word)], &mut ancillary, flags)?;
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(handed) = message {
                sockets.extend(handed.map(std::net::TcpListener::from));
            }
        }
        if word != [SOCKETS] || sockets.len() != SOCKETS_MAX {
            return Err(io::Error::other("no sockets came"));
        }
        Ok(Self { way, sockets })
    }

    /// Tells the gateway before that this one serves: from now on that one leaves.
    ///
    /// # Errors
    /// It is not there any more; nobody waits for the word.
    pub fn relieve(mut self) -> io::Result<()> {
        self.way.write_all(&[READY])
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[tokio::test]
    async fn a_socket_that_was_given_is_found_by_its_address_and_the_others_are_bound() {
        let given = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = given.local_addr().unwrap();
        let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut all = vec![other, given];
        let wanted = Addresses { tpp: nowhere, psu: address, admin: nowhere };
        let listeners = Listeners::of(wanted, &mut all).unwrap();
        assert_eq!(listeners.addresses.psu, address);
        assert_ne!(listeners.addresses.tpp.port(), 0);
        assert_eq!(all.len(), 1, "what nobody wants stays where it is");
    }

    #[tokio::test]
    async fn what_is_handed_over_arrives_as_the_same_sockets() {
        let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let wanted = Addresses { tpp: nowhere, psu: nowhere, admin: nowhere };
        let listeners = Listeners::of(wanted, &mut Vec::new()).unwrap();
        let (ours, theirs) = UnixStream::pair().unwrap();
        hand_over(&ours, &listeners.shared().unwrap()).unwrap();
        let mut word = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        recvmsg(&theirs, &mut [IoSliceMut::new(&mut word)], &mut ancillary, RecvFlags::empty())
            .unwrap();
        let mut sockets = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(handed) = message {
                sockets.extend(handed.map(std::net::TcpListener::from));
            }
        }
        let addresses: Vec<_> = sockets.iter().map(|s| s.local_addr().unwrap()).collect();
        let Addresses { tpp, psu, admin } = listeners.addresses;
        assert_eq!((word, addresses), ([SOCKETS], vec![tpp, psu, admin]));
    }
}
