// Tests of the CPI scripts, in Groovy 2.4 with stand-ins for CPI's classes on the class path. Prints a line a failure and
// closes with how many passed and failed; ends with 1 when any failed.
// Call: groovy -cp ../stubs run.groovy PATH-OF-THE-SCRIPT
import com.sap.gateway.ip.core.customdev.util.Message
import com.sap.it.api.ITApiFactory
import com.sap.it.api.securestore.SecureStoreService
import com.sap.it.api.securestore.UserCredential

final String HEADER = 'x-cleartax-auth-token'
final String FIRST = 'sandbox.1.0198a6f0-0000-7000-8000-000000000001_' + 'ab' * 32
final String SECOND = 'sandbox.1.0198a6f0-0000-7000-8000-000000000001_' + 'cd' * 32

def script = new GroovyShell(this.class.classLoader).parse(new File(args[0]))
Map<String, String> material = [:]
boolean broken = false

ITApiFactory.service = [getUserCredential: { String alias ->
    if (broken) {
        throw new IllegalStateException("store broken near ${material}")
    }
    if (!material.containsKey(alias)) {
        return null
    }
    String password = material[alias]
    [getUsername: { 'someone' }, getPassword: { password?.toCharArray() }] as UserCredential
}] as SecureStoreService

def message = { Map headers = [:], String credential = 'EINVOICE' ->
    def made = new Message()
    headers.each { name, value -> made.setHeader(name, value) }
    if (credential) {
        made.setProperty('TokenwardCredential', credential)
    }
    made
}

// Everything in a message but the one header, as a trace would show it.
def traced = { Message one ->
    one.getHeaders().findAll { it.key != HEADER }.toString() + one.getProperties() + one.getBody(String)
}

def answered = { Message sent, String body ->
    sent.setBody(body)
    sent
}

def fails = { Closure call ->
    try {
        call()
    } catch (IllegalStateException error) {
        return error.message
    }
    assert false: 'it was to fail'
}

Map<String, Closure> tests = [
    'the token stands in the header': {
        def sent = script.setToken(message())
        assert sent.getHeaders()[HEADER] == FIRST
        assert !traced(sent).contains(FIRST)
    },
    'a header that came from outside is replaced, however it is spelled': {
        def sent = script.setToken(message(['X-ClearTax-Auth-Token': 'evil', (HEADER): 'evil', Accept: 'a']))
        assert sent.getHeaders() == [Accept: 'a', (HEADER): FIRST]
    },
    'it is removed after the call, however it is spelled': {
        def sent = script.removeToken(message(['X-CLEARTAX-AUTH-TOKEN': FIRST, (HEADER): FIRST, Accept: 'a']))
        assert sent.getHeaders() == [Accept: 'a']
    },
    'a new token in Security Material is worth one more try': {
        def sent = script.setToken(message())
        material.EINVOICE = SECOND
        script.onUnauthorized(answered(sent, '{"errors":[{"error_code":"TOKEN_SUPERSEDED"}]}'))
        assert sent.getProperty('TokenwardRetry') == 'true'
        assert sent.getProperty('TokenwardError') == 'TOKEN_SUPERSEDED'
        assert !sent.getHeaders().containsKey(HEADER)
        script.setToken(sent)
        assert sent.getHeaders()[HEADER] == SECOND
        material.EINVOICE = FIRST
        script.onUnauthorized(answered(sent, '{"errors":[{"error_code":"TOKEN_SUPERSEDED"}]}'))
        assert sent.getProperty('TokenwardRetry') == 'false'
        assert !traced(sent).contains(FIRST) && !traced(sent).contains(SECOND)
    },
    'the same token is not sent again': {
        def sent = script.setToken(message())
        script.onUnauthorized(answered(sent, ''))
        assert sent.getProperty('TokenwardRetry') == 'false'
        assert sent.getProperty('TokenwardError') == 'HTTP_401'
    },
    'a wall is no reason to try again': {
        ['ENVIRONMENT_MISMATCH', 'CLIENT_DISABLED', 'CLIENT_DELETED', 'CLIENT_SECRET_USED_AS_TOKEN'].each { code ->
            material.EINVOICE = FIRST
            def sent = script.setToken(message())
            material.EINVOICE = SECOND
            script.onUnauthorized(answered(sent, """{"errors":[{"error_code":"${code}"}]}""".toString()))
            assert sent.getProperty('TokenwardRetry') == 'false': code
        }
    },
    'a code in strange letters is not repeated': {
        def sent = script.setToken(message())
        script.onUnauthorized(answered(sent, '{"error_code":"' + FIRST + '"}'))
        assert sent.getProperty('TokenwardError') == 'HTTP_401'
    },
    'what is missing is told by name': {
        assert fails { script.setToken(message([:], null)) }.contains('TokenwardCredential is not set')
        assert fails { script.setToken(message([:], 'OTHER')) }.contains('OTHER')
        material.EMPTY = ''
        assert fails { script.setToken(message([:], 'EMPTY')) }.contains('EMPTY')
    },
    'a password that is no token is refused and not shown': {
        ['two words', "line\r\nX-Evil: 1", 'x' * 257].each { password ->
            material.EINVOICE = password
            def told = fails { script.setToken(message()) }
            assert told.contains('is no access token') && !told.contains(password)
        }
    },
    'what a broken store says is not repeated': {
        broken = true
        def told = fails { script.setToken(message()) }
        assert told.contains('EINVOICE') && !told.contains(FIRST)
    },
]

int passed = 0
int failed = 0
tests.each { name, test ->
    material.clear()
    material.EINVOICE = FIRST
    broken = false
    try {
        test()
        passed++
    } catch (Throwable error) {
        failed++
        println "${name}: ${error}"
    }
}
println "Groovy ${GroovySystem.version}"
println "${passed} passed, ${failed} failed"
System.exit(failed == 0 && passed > 0 ? 0 : 1)
