// A STAND-IN for Spring Security's OAuth 2 client, not Spring itself: its jars are not to be had where these tests run. It
// sends the request that `DefaultClientCredentialsTokenResponseClient` sends (and `RestClientClientCredentialsTokenResponseClient`
// since 6.4) and keeps the token by the rules of `ClientCredentialsOAuth2AuthorizedClientProvider` and
// `OAuth2AccessTokenResponse`, as they stand in Spring Security's source:
//
// - HTTP Basic with id and secret form-encoded first; `Accept: application/json;charset=UTF-8`;
//   `Content-Type: application/x-www-form-urlencoded;charset=UTF-8`; `grant_type`, and `scope` joined by spaces
// - `token_type` has to be Bearer in any case; `scope` is split at spaces, and what was asked for when it is missing
// - a token ends `expires_in` seconds after it came, or one second after it when that is missing or 0
// - it is used until 60 seconds (`clockSkew`) before its end
//
// Reads what `libraries.rs` writes to standard input and fails at the first surprise.

import groovy.json.JsonSlurper
import java.security.KeyStore
import java.security.cert.CertificateFactory
import java.time.Duration
import java.time.Instant
import javax.net.ssl.HttpsURLConnection
import javax.net.ssl.SSLContext
import javax.net.ssl.TrustManagerFactory

class Token {
    String value
    Set<String> scopes
    Instant expiresAt
}

/** What Spring's client and provider do for one registration. */
class Client {
    static final Duration CLOCK_SKEW = Duration.ofSeconds(60)
    String tokenUri, id, secret
    List<String> scopes
    Duration ahead = Duration.ZERO
    Token token

    Instant now() { Instant.now().plus(ahead) }

    String authorize() {
        if (token == null || now().isAfter(token.expiresAt.minus(CLOCK_SKEW))) {
            token = response()
        }
        token.value
    }

    static String encoded(String text) { URLEncoder.encode(text, 'UTF-8') }

    Token response() {
        def connection = new URL(tokenUri).openConnection()
        connection.requestMethod = 'POST'
        connection.doOutput = true
        def basic = "${encoded(id)}:${encoded(secret)}".getBytes('UTF-8').encodeBase64().toString()
        connection.setRequestProperty('Authorization', "Basic ${basic}")
        connection.setRequestProperty('Accept', 'application/json;charset=UTF-8')
        connection.setRequestProperty('Content-Type', 'application/x-www-form-urlencoded;charset=UTF-8')
        def body = "grant_type=client_credentials&scope=${encoded(scopes.join(' '))}"
        connection.outputStream.withStream { it << body.getBytes('UTF-8') }
        if (connection.responseCode != 200) {
            throw new IllegalStateException("${connection.responseCode}: ${connection.errorStream?.text}")
        }
        def answer = new JsonSlurper().parse(connection.inputStream)
        assert 'Bearer'.equalsIgnoreCase(answer.token_type)
        long seconds = (answer.expires_in ?: 0) as long
        new Token(
            value: answer.access_token,
            scopes: (answer.scope ? answer.scope.split(' ') : scopes) as Set,
            expiresAt: now().plusSeconds(seconds > 0 ? seconds : 1))
    }
}

// Uses of a token in a row.
int uses = 20
// Far enough from each end that a slow machine changes nothing, in seconds.
long slack = 300

def given = new JsonSlurper().parse(System.in)

// The server's certificate is the one that is trusted.
def store = KeyStore.getInstance(KeyStore.defaultType)
store.load(null, null)
new File(System.getenv('SSL_CERT_FILE')).withInputStream {
    store.setCertificateEntry('server', CertificateFactory.getInstance('X.509').generateCertificate(it))
}
def trust = TrustManagerFactory.getInstance(TrustManagerFactory.defaultAlgorithm)
trust.init(store)
def tls = SSLContext.getInstance('TLS')
tls.init(null, trust.trustManagers, null)
HttpsURLConnection.defaultSSLSocketFactory = tls.socketFactory

def clientOf = { name ->
    def of = given.clients[name]
    new Client(tokenUri: "${given.issuer}/oauth2/token", id: of.id, secret: of.secret,
        scopes: given.scope.split(' ') as List)
}
def use = { client, seen ->
    uses.times {
        def token = client.authorize()
        seen << token
        assert client.token.scopes == client.scopes as Set
        def check = new URL(given.check).openConnection()
        check.setRequestProperty('Authorization', "Bearer ${token}")
        assert check.responseCode == 200
    }
}

[['hour', 3_600L], ['never', 2_147_483L]].each { name, life ->
    def client = clientOf(name)
    def seen = [] as Set
    [[0L, 1], [life - Client.CLOCK_SKEW.seconds - slack, 1], [life + 1, 2]].each { ahead, tokens ->
        client.ahead = Duration.ofSeconds(ahead)
        use(client, seen)
        assert seen.size() == tokens: "${name} after ${ahead} s"
    }
}
['short', 'shared'].each { use(clientOf(it), [] as Set) }

def wrong = clientOf('hour')
wrong.secret = 'not the+secret'
try {
    wrong.authorize()
    assert false: 'a wrong secret was taken'
} catch (IllegalStateException refused) {
    assert refused.message.contains('invalid_client')
}
println 'the stand-in for Spring Security: all well'
