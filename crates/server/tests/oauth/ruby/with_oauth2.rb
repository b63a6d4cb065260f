# Uses the server as any service written with Ruby's oauth2 would: nothing here knows Tokenward.
#
# Reads what `libraries.rs` writes to standard input and fails at the first surprise.

require 'json'
require 'net/http'
require 'oauth2'
require 'set'

# Uses of a token in a row.
USES = 20
# Far enough from each end that a slow machine changes nothing, in seconds.
SLACK = 300

GIVEN = JSON.parse($stdin.read)

# The clock that the library reads, ahead of the machine's.
class Time
  class << self
    attr_accessor :ahead
    alias real_now now

    def now
      real_now + (ahead || 0)
    end
  end
end

def equal(seen, expected)
  raise "#{seen.inspect} is not #{expected.inspect}" unless seen == expected
end

def client(id, secret, scheme)
  OAuth2::Client.new(id, secret, site: GIVEN['issuer'], token_url: '/oauth2/token', auth_scheme: scheme)
end

# A service that keeps its token; `expired?` is the library's own word on it. Client credentials have no refresh token, so
# the service asks for another token.
def caller_of(name)
  given = GIVEN['clients'][name]
  credentials = client(given['id'], given['secret'], :basic_auth).client_credentials
  token = nil
  lambda do
    if token.nil? || token.expired?
      token = credentials.get_token('scope' => GIVEN['scope'])
      equal(token.params['scope'], GIVEN['scope'])
    end
    token.token
  end
end

def use(one, seen)
  USES.times do
    token = one.call
    seen << token
    answer = Net::HTTP.get_response(URI(GIVEN['check']), 'Authorization' => "Bearer #{token}")
    equal(answer.code, '200')
  end
end

# The library's default: the secret in the body.
first = client(GIVEN['client_id'], GIVEN['client_secret'], :request_body).client_credentials.get_token
equal(first.expires_in, 3600)

begin
  client(GIVEN['client_id'], 'not-the-secret', :basic_auth).client_credentials.get_token
rescue OAuth2::Error => error
  equal(error.code, 'invalid_client')
else
  raise 'a wrong secret was taken'
end

[['hour', 3_600], ['never', 2_147_483]].each do |name, life|
  one = caller_of(name)
  seen = Set.new
  [[0, 1], [life - SLACK, 1], [life + 2, 2]].each do |ahead, tokens|
    Time.ahead = ahead
    use(one, seen)
    equal([name, ahead, seen.size], [name, ahead, tokens])
  end
  Time.ahead = 0
end
%w[short shared].each { |name| use(caller_of(name), Set.new) }
puts 'oauth2 of Ruby: all well'
