//! The fault proxy does to a connection what it says, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use harness::eventually;
use harness::fault_proxy::{Fault, FaultProxy, GARBAGE};

const WORD: &[u8] = b"0123456789";
/// Long enough for an echo on loopback to be there.
const SILENCE: Duration = Duration::from_millis(200);

/// A server that says what it hears.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            thread::spawn(move || {
                let mut chunk = [0; 1024];
                while let Ok(read) = socket.read(&mut chunk)
                    && read > 0
                    && socket.write_all(&chunk[..read]).is_ok()
                {}
            });
        }
    });
    address
}

fn proxy() -> FaultProxy {
    FaultProxy::start(echo())
}

fn client(proxy: &FaultProxy) -> TcpStream {
    let client = TcpStream::connect(proxy.address).unwrap();
    client.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    client
}

/// What comes back for a word, until the connection ends or it is whole.
fn echoed(client: &mut TcpStream) -> Vec<u8> {
    client.write_all(WORD).unwrap();
    let mut back = Vec::new();
    let mut chunk = [0; 64];
    while back.len() < WORD.len() {
        match client.read(&mut chunk) {
            Ok(read) if read > 0 => back.extend_from_slice(&chunk[..read]),
            _ => break,
        }
    }
    back
}

/// Nothing comes and nothing ends.
fn is_silent(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(SILENCE)).unwrap();
    let read = client.read(&mut [0; 64]);
    client.set_read_timeout(Some(harness::PATIENCE)).unwrap();
    read.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

#[test]
fn without_a_fault_everything_passes_and_is_counted() {
    let proxy = proxy();
    let mut first = client(&proxy);
    assert_eq!(echoed(&mut first), WORD);
    assert_eq!(echoed(&mut client(&proxy)), WORD);
    assert_eq!((proxy.accepted(), proxy.octets()), (2, (20, 20)));
    eventually("one is closed", || (proxy.open() == 1).then_some(()));
}

#[test]
fn a_delay_holds_each_way_and_keeps_the_order() {
    const DELAY: Duration = Duration::from_millis(50);
    let proxy = proxy();
    proxy.set(Fault::Delay(DELAY));
    let mut client = client(&proxy);
    let began = Instant::now();
    assert_eq!(echoed(&mut client), WORD);
    assert!(began.elapsed() >= 2 * DELAY);
    for _ in 0..3 {
        assert_eq!(echoed(&mut client), WORD);
    }
}

#[test]
fn a_blackhole_swallows_without_a_word_and_what_lost_something_never_speaks_again() {
    let proxy = proxy();
    let mut known = client(&proxy);
    assert_eq!(echoed(&mut known), WORD);
    proxy.set(Fault::Blackhole);
    let mut new = client(&proxy);
    for client in [&mut known, &mut new] {
        client.write_all(WORD).unwrap();
        assert!(is_silent(client));
    }
    proxy.set(Fault::None);
    for client in [&mut known, &mut new] {
        client.write_all(WORD).unwrap();
        assert!(is_silent(client));
    }
    assert_eq!(echoed(&mut client(&proxy)), WORD);
}

#[test]
fn a_half_open_connection_reads_nothing_and_does_not_end() {
    let proxy = proxy();
    let mut client = client(&proxy);
    assert_eq!(echoed(&mut client), WORD);
    let before = proxy.octets();
    proxy.set(Fault::HalfOpen);
    assert!(is_silent(&mut client));
    client.write_all(WORD).unwrap();
    assert!(is_silent(&mut client));
    proxy.set(Fault::None);
    assert!(is_silent(&mut client));
    assert_eq!(proxy.octets(), before);
}

#[test]
fn a_reply_is_cut_where_it_says() {
    let proxy = proxy();
    proxy.set(Fault::Cut(4));
    assert_eq!(echoed(&mut client(&proxy)), WORD[..4]);
    proxy.set(Fault::None);
    assert_eq!(echoed(&mut client(&proxy)), WORD);
}

#[test]
fn octets_of_replies_are_garbled_and_those_of_questions_are_not() {
    let proxy = proxy();
    proxy.set(Fault::Garble(5));
    let back = echoed(&mut client(&proxy));
    assert_eq!(back, [b"0123", &[GARBAGE][..], b"5678", &[GARBAGE]].concat());
}

#[test]
fn a_reset_is_one() {
    let proxy = proxy();
    let mut client = client(&proxy);
    assert_eq!(echoed(&mut client), WORD);
    proxy.set(Fault::Reset);
    client.write_all(WORD).unwrap();
    let error = client.read(&mut [0; 64]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_throttled_reply_trickles() {
    const RATE: usize = 50;
    let proxy = proxy();
    proxy.set(Fault::Throttle(RATE));
    let began = Instant::now();
    assert_eq!(echoed(&mut client(&proxy)), WORD);
    assert!(began.elapsed() >= Duration::from_secs(1) / u32::try_from(RATE).unwrap() * 9);
}

#[test]
fn a_fault_for_some_leaves_the_others_alone() {
    let proxy = proxy();
    let says = |client: &mut TcpStream, word: &[u8]| {
        let mut back = vec![0; word.len()];
        client.write_all(word).unwrap();
        client.read_exact(&mut back).unwrap();
        assert_eq!(back, word);
    };
    let (mut meant, mut other) = (client(&proxy), client(&proxy));
    says(&mut meant, b"begin");
    says(&mut other, b"begin");
    let since = Instant::now();
    proxy.set_where("0123", Fault::Blackhole);
    meant.write_all(WORD).unwrap();
    assert!(is_silent(&mut meant));
    says(&mut other, b"abcdefghij");
    says(&mut client(&proxy), b"x");
    assert_eq!(proxy.accepted_without("0123", since), 1);
    assert_eq!(proxy.accepted_without("x", since), 0);
}

#[test]
fn without_the_proxy_its_connections_end() {
    let proxy = proxy();
    let mut client = client(&proxy);
    assert_eq!(echoed(&mut client), WORD);
    drop(proxy);
    assert_eq!(client.read(&mut [0; 64]).unwrap_or(0), 0);
}
