package rules

import (
	"net/http"
	"slices"
)

// Who asks, the cache learns from the request alone: from Authorization and Cookie, from
// the fields of Options.CredentialHeaders, from a TLS client certificate, and from a
// user in the URL. What a middleware puts into the request's context it does not
// see, nor what a RoundTripper adds below it: see Options.Key and Options.Partition.

// defaultCredentials are fields by which requests commonly say who sends them: keys
// and tokens of APIs, sessions, and what proxies that have authenticated a client
// tell the server of it.
var defaultCredentials = []string{
	"Proxy-Authorization", "X-Authorization", "Dpop",
	"X-Api-Key", "Api-Key", "X-Apikey", "Apikey", "X-Api-Token", "X-Api-Secret", "X-App-Key", "X-Client-Secret",
	"X-Auth-Token", "X-Access-Token", "X-Auth-Key", "X-Token", "X-Jwt", "X-Jwt-Assertion", "X-Id-Token", "X-User-Token",
	"X-Session", "X-Session-Id", "X-Session-Token", "X-Csrf-Token", "X-Xsrf-Token",
	"X-Amz-Security-Token", "X-Goog-Api-Key", "X-Functions-Key", "Ocp-Apim-Subscription-Key", "X-Rapidapi-Key",
	"Private-Token", "Job-Token", "X-Gitlab-Token", "X-Vault-Token", "X-Shopify-Access-Token",
	"Remote-User", "X-Remote-User", "X-User", "X-User-Id", "X-Webauth-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Access-Token",
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Access-Token",
	"X-Amzn-Oidc-Data", "X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken", "X-Goog-Iap-Jwt-Assertion", "Cf-Access-Jwt-Assertion",
	"X-Ms-Client-Principal", "X-Ms-Client-Principal-Id", "X-Ms-Client-Principal-Name", "X-Ms-Token-Aad-Access-Token", "X-Ms-Token-Aad-Id-Token",
	"Authentication", "Auth", "Token", "Access-Token", "Auth-Token", "Session", "Session-Id", "Session-Token", "X-Secret", "X-Access-Key", "X-Secret-Key",
	"Signature", "X-Signature", "X-Tenant", "X-Tenant-Id", "X-Account-Id", "X-Customer-Id", "X-Org-Id", "X-Organization-Id",
	"X-Forwarded-Preferred-Username", "X-Forwarded-Groups", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups",
	"X-Auth-User", "X-Auth-Username", "X-Auth-Email", "X-Authenticated-User", "X-Authenticated-Userid", "X-Username", "X-User-Name", "X-User-Email", "X-Email",
	"Remote-Name", "Remote-Email", "Remote-Groups", "X-Authentik-Username", "X-Authentik-Email", "X-Authentik-Uid", "X-Authentik-Jwt",
	"X-Consumer-Id", "X-Consumer-Username", "X-Consumer-Custom-Id", "X-Credential-Identifier", "X-Pomerium-Jwt-Assertion",
	"X-Goog-Authenticated-User-Email", "X-Goog-Authenticated-User-Id", "Tailscale-User-Login", "Tailscale-User-Name",
	"Cf-Access-Authenticated-User-Email", "Cf-Access-Client-Id", "Cf-Access-Client-Secret", "Cf-Access-Token",
	"X-Hasura-Admin-Secret", "X-Parse-Session-Token", "X-Appwrite-Key", "X-Redmine-Api-Key", "X-Consul-Token", "X-Nomad-Token", "Dd-Api-Key", "Dd-Application-Key",
	"Client-Cert", "X-Client-Cert", "X-Ssl-Client-Cert", "X-Ssl-Client-S-Dn", "X-Forwarded-Client-Cert",
}

// CredentialSet returns names as a set, or the default fields if it is nil.
func CredentialSet(names []string) map[string]bool {
	if names == nil {
		names = defaultCredentials
	}
	set := make(map[string]bool, len(names))
	for _, name := range CanonicalNames(names) {
		set[name] = true
	}
	return set
}

// IsPersonal reports whether a request tells who sends it. RFC 9111 lets a shared
// cache store the response to a Cookie by default; but a page that was made for
// somebody, and has nothing but a validator, must not be offered to others, not
// even for validation: by Last-Modified alone one user's page seems as good as
// another's. So such a response is stored only if it is fresh, and says so.
func (p *Policy) IsPersonal(r *http.Request) bool {
	return len(r.Header["Authorization"]) > 0 || len(r.Header["Cookie"]) > 0 || p.HasCredential(r)
}

// HasCredential reports whether a request tells who sends it in another way than by
// Authorization or Cookie.
func (p *Policy) HasCredential(r *http.Request) bool {
	if r.TLS != nil && len(r.TLS.PeerCertificates) > 0 || r.URL.User != nil {
		return true
	}
	for name := range r.Header {
		if p.Credentials[name] {
			return true
		}
	}
	return false
}

// PrincipalFields are those that always say for whom a request is.
var PrincipalFields = []string{"Authorization", "Cookie"}

// AppendPrincipal appends who sends a request, for a cache that keeps what is meant
// for one user.
func (p *Policy) AppendPrincipal(b []byte, r *http.Request) []byte {
	b = AppendSelecting(b, PrincipalFields, r.Header)
	var names []string
	for name := range r.Header {
		if p.Credentials[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b = AppendText(b, name)
		b = AppendText(b, string(appendExact(nil, r.Header[name])))
	}
	if r.URL.User != nil {
		b = AppendText(append(b, '@'), r.URL.User.String())
	}
	return append(b, ';')
}
