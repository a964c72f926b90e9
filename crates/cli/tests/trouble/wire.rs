//! The wire as a stranger sees it: bytes put together by hand, independent of the program's own codecs
//! (`spec: messaging 1.5, 1.6, 2.1`).

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// The version byte both sides begin with.
pub(crate) const PREAMBLE: u8 = 1;

/// Connects to a node's listener and exchanges version bytes.
pub(crate) fn connect(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream.write_all(&[PREAMBLE]).unwrap();
    let mut version = [0];
    stream.read_exact(&mut version).unwrap();
    assert_eq!(version, [PREAMBLE]);
    stream
}

/// A whole frame with a routing message.
pub(crate) fn frame(onward: &[&[u8]], back: &[&[u8]], payload: &[u8]) -> Vec<u8> {
    let mut body = vec![0x83];
    route(&mut body, onward);
    route(&mut body, back);
    head(&mut body, 2, payload.len());
    body.extend_from_slice(payload);
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

/// Reads one frame and returns its body.
pub(crate) fn read_frame(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut body = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut body)?;
    Ok(body)
}

/// A string as plain bodies have it: its length, then itself.
pub(crate) fn bare(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut left = text.len();
    while left >= 0x80 {
        bytes.push(u8::try_from(left & 0x7f).unwrap() | 0x80);
        left >>= 7;
    }
    bytes.push(u8::try_from(left).unwrap());
    bytes.extend_from_slice(text);
    bytes
}

/// Asks a service and returns the body of the frame that comes back.
pub(crate) fn ask(stream: &mut TcpStream, onward: &[&[u8]], payload: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(&frame(onward, &[b"stranger"], payload))?;
    read_frame(stream)
}

fn route(body: &mut Vec<u8>, hops: &[&[u8]]) {
    head(body, 4, hops.len());
    for hop in hops {
        body.extend_from_slice(&[0x82, 0]);
        head(body, 2, hop.len());
        body.extend_from_slice(hop);
    }
}

/// The head of a CBOR item: major type and argument.
fn head(body: &mut Vec<u8>, major: u8, argument: usize) {
    let major = major << 5;
    match argument {
        0..24 => body.push(major | u8::try_from(argument).unwrap()),
        24..0x100 => body.extend_from_slice(&[major | 24, u8::try_from(argument).unwrap()]),
        0x100..0x1_0000 => {
            body.push(major | 25);
            body.extend_from_slice(&u16::try_from(argument).unwrap().to_be_bytes());
        }
        _ => {
            body.push(major | 26);
            body.extend_from_slice(&u32::try_from(argument).unwrap().to_be_bytes());
        }
    }
}
