//! A private authority, and TLS servers with certificates it has signed.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

/// One that the tests' outlets trust, or not.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) root: Certificate,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        // A name of its own, as authorities have.
        let name = format!("authority of {:x?}", key.public_key_raw());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        Self { issuer, root }
    }

    /// Serves everyone who connects, with a certificate for `name`.
    pub(crate) fn serve(
        &self,
        name: &str,
        validity: Validity,
        version: &'static SupportedProtocolVersion,
        serve: impl Fn(TlsStream) -> io::Result<()> + Send + Sync + 'static,
    ) -> SocketAddr {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        if validity == Validity::Over {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let serve = Arc::new(serve);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (config, serve) = (config.clone(), serve.clone());
                std::thread::spawn(move || {
                    let connection = ServerConnection::new(config).unwrap();
                    // Clients that turn away are what some tests are about.
                    drop(serve(StreamOwned::new(connection, socket)));
                });
            }
        });
        address
    }
}

/// Whether a certificate has run out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Now,
    Over,
}

/// What a server talks over.
pub(crate) type TlsStream = StreamOwned<ServerConnection, TcpStream>;

/// Returns what comes, and ends as its peer does.
pub(crate) fn echo(mut stream: TlsStream) -> io::Result<()> {
    let mut content = vec![0; 40_000];
    loop {
        match stream.read(&mut content)? {
            0 => return end(stream),
            read => stream.write_all(&content[..read])?,
        }
    }
}

/// Ends as the protocol has it.
pub(crate) fn end(mut stream: TlsStream) -> io::Result<()> {
    stream.conn.send_close_notify();
    stream.flush()
}
