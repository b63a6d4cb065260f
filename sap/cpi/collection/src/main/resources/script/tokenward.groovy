// Tokenward in an integration flow: three functions for Script steps. The token is read from Security Material in the last
// step before the receiver, stands in one header while the receiver is called, and is removed in the first step after.
// It is never logged, put into a property, the body or an exception. Groovy 2.4 (CPI's script version 1.x) and later.
import com.sap.gateway.ip.core.customdev.util.Message
import com.sap.it.api.ITApiFactory
import com.sap.it.api.securestore.SecureStoreService
import java.security.MessageDigest
import java.util.regex.Matcher

/**
 * The last step before the receiver. Exchange property TokenwardCredential names the User Credentials artifact that
 * tokenward-agent keeps up to date.
 */
Message setToken(Message message) {
    String token = readToken(message)
    dropHeader(message)
    message.setHeader('x-cleartax-auth-token', token)
    message.setProperty('TokenwardUsed', fingerprint(token))
    return message
}

/** The first step after the receiver, and the first of the exception subprocess. */
Message removeToken(Message message) {
    dropHeader(message)
    return message
}

/**
 * After the receiver, where it answered 401 and the receiver channel does not throw (or in the exception subprocess).
 * Sets exchange property TokenwardRetry to 'true' when it is worth sending the same request once more, because another
 * token is in Security Material by now; else to 'false'. A second 401 is final.
 */
Message onUnauthorized(Message message) {
    dropHeader(message)
    message.setProperty('TokenwardRetry', 'false')
    String code = errorCode(message)
    message.setProperty('TokenwardError', code)
    if (message.getProperty('TokenwardTried') == 'true' || isWall(code)) {
        return message
    }
    message.setProperty('TokenwardTried', 'true')
    boolean other = fingerprint(readToken(message)) != message.getProperty('TokenwardUsed')
    message.setProperty('TokenwardRetry', other ? 'true' : 'false')
    return message
}

/** The token in Security Material now. */
private String readToken(Message message) {
    def name = message.getProperty('TokenwardCredential')
    if (!name) {
        throw new IllegalStateException('Tokenward: exchange property TokenwardCredential is not set')
    }
    SecureStoreService store = ITApiFactory.getService(SecureStoreService.class, null)
    def credential = null
    try {
        credential = store?.getUserCredential(name as String)
    } catch (Exception ignored) {
        // What the store says might name more than the artifact.
        credential = null
    }
    char[] password = credential?.getPassword()
    if (password == null || password.length == 0) {
        throw new IllegalStateException("Tokenward: no User Credentials artifact ${name} is deployed".toString())
    }
    String token = new String(password)
    // At most 256 characters (Clear), and nothing that could begin another header.
    if (!(token ==~ /[\x21-\x7e]{1,256}/)) {
        throw new IllegalStateException("Tokenward: the password of ${name} is no access token".toString())
    }
    return token
}

/** Removes the header in every spelling. */
private void dropHeader(Message message) {
    Map headers = new LinkedHashMap(message.getHeaders())
    headers.keySet().removeAll { it.toString().equalsIgnoreCase('x-cleartax-auth-token') }
    message.setHeaders(headers)
}

/** Names a token without revealing it: the start of its SHA-256. */
private String fingerprint(String token) {
    byte[] digest = MessageDigest.getInstance('SHA-256').digest(token.getBytes('UTF-8'))
    return digest.encodeHex().toString().substring(0, 16)
}

/** The error code of the API's answer, in letters that no credential has; 'HTTP_401' when it has none. */
private String errorCode(Message message) {
    String body = message.getBody(String.class) ?: ''
    Matcher found = body =~ /"error_code"\s*:\s*"([A-Z][A-Z0-9_]{0,39})"/
    return found.find() ? found.group(1) : 'HTTP_401'
}

/** Codes that no other token cures. */
private boolean isWall(String code) {
    return code in ['ENVIRONMENT_MISMATCH', 'CLIENT_SECRET_USED_AS_TOKEN', 'CLIENT_DISABLED', 'CLIENT_DELETED']
}
