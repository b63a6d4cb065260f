{{/* Name of the objects: the release's, unless fullnameOverride is set. */}}
{{- define "tokenward.fullname" -}}
{{- default .Release.Name .Values.fullnameOverride | trunc 48 | trimSuffix "-" -}}
{{- end }}

{{/* Labels that selectors use. They never change. */}}
{{- define "tokenward.selector" -}}
app.kubernetes.io/name: tokenward
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tokenward.labels" -}}
{{ include "tokenward.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tokenward.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "tokenward.secretName" -}}
{{- if .Values.secret.create -}}{{ include "tokenward.fullname" . }}{{- else -}}{{ .Values.secret.name }}{{- end -}}
{{- end }}

{{/* Name of the Secret with a listener's certificate; empty without TLS. Takes (list . "public"). */}}
{{- define "tokenward.tlsSecret" -}}
{{- $root := index . 0 -}}
{{- $listener := index . 1 -}}
{{- $tls := index $root.Values.tls $listener -}}
{{- if $tls.secret -}}
{{ $tls.secret }}
{{- else if $tls.certManager.enabled -}}
{{ include "tokenward.fullname" $root }}-{{ $listener }}-tls
{{- end -}}
{{- end }}

{{/* A volume of one authority, which lies in a Secret or a ConfigMap. Takes (list "volume" authority). */}}
{{- define "tokenward.authorityVolume" -}}
{{- $name := index . 0 -}}
{{- $authority := index . 1 -}}
- name: {{ $name }}
  {{- if $authority.secret }}
  secret:
    secretName: {{ $authority.secret }}
    defaultMode: 288
    items:
      - {key: {{ $authority.key | quote }}, path: authority.pem}
  {{- else }}
  configMap:
    name: {{ $authority.configMap }}
    items:
      - {key: {{ $authority.key | quote }}, path: authority.pem}
  {{- end }}
{{- end }}

{{/* Combinations of values that the schema cannot refuse. */}}
{{- define "tokenward.validate" -}}
{{- range $listener := list "public" "internal" -}}
{{- $tls := index $.Values.tls $listener -}}
{{- if and $tls.secret $tls.certManager.enabled -}}
{{- fail (printf "tls.%s: set either secret or certManager.enabled" $listener) -}}
{{- end -}}
{{- if and $tls.certManager.enabled (not $tls.certManager.issuer.name) -}}
{{- fail (printf "tls.%s.certManager.issuer.name is empty: name an Issuer or a ClusterIssuer" $listener) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.tls.public.certManager.enabled (not .Values.tls.public.certManager.dnsNames) -}}
{{- fail "tls.public.certManager.dnsNames is empty: add the host of publicUrl" -}}
{{- end -}}
{{- $clients := .Values.tls.internal.clientAuthority -}}
{{- if and $clients.secret $clients.configMap -}}
{{- fail "tls.internal.clientAuthority: set either secret or configMap" -}}
{{- end -}}
{{- $asks := or $clients.secret $clients.configMap -}}
{{- if and $asks (not (include "tokenward.tlsSecret" (list . "internal"))) -}}
{{- fail "tls.internal.clientAuthority needs a certificate of the listener: set tls.internal.secret or tls.internal.certManager" -}}
{{- end -}}
{{- if and $asks (not .Values.tls.internal.callers) -}}
{{- fail "tls.internal.callers is empty: without a name there, every caller would be refused" -}}
{{- end -}}
{{- if and .Values.tls.internal.callers (not $asks) -}}
{{- fail "tls.internal.callers needs tls.internal.clientAuthority" -}}
{{- end -}}
{{- if and .Values.databaseAuthority.secret .Values.databaseAuthority.configMap -}}
{{- fail "databaseAuthority: set either secret or configMap" -}}
{{- end -}}
{{- if and .Values.secret.create (not .Values.secret.databaseUrl) -}}
{{- fail "secret.databaseUrl is empty: secret.create makes the Secret of it" -}}
{{- end -}}
{{- if and .Values.secret.create (not .Values.secret.digestKeys) -}}
{{- fail "secret.digestKeys is empty: secret.create makes the Secret of the content of a digest-keys file" -}}
{{- end -}}
{{- if and (not .Values.secret.create) (not .Values.secret.name) -}}
{{- fail "secret.name is empty: name the Secret with database-url and digest-keys, or set secret.create" -}}
{{- end -}}
{{- if and (not .Values.secret.create) (or .Values.secret.databaseUrl .Values.secret.digestKeys) -}}
{{- fail "secret.databaseUrl and secret.digestKeys are for secret.create: true" -}}
{{- end -}}
{{- $strategy := .Values.updateStrategy -}}
{{- if and (has (toString $strategy.maxUnavailable) (list "0" "0%")) (has (toString $strategy.maxSurge) (list "0" "0%")) -}}
{{- fail "updateStrategy: maxUnavailable and maxSurge cannot both be 0" -}}
{{- end -}}
{{- end }}
