/* What of a webclient's configuration can be judged at the start. */
#include "signal/webclient.h"

#include <curl/curl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "base/addr.h"
#include "base/err.h"

/* libcurl takes any number of slashes behind the scheme. */
static bool has_two_slashes(const char *text)
{
  const char *colon = strchr(text, ':');
  return colon && strncmp(colon, "://", 3) == 0 && colon[3] != '/';
}

static const char *check_parts(CURLU *url, const char *text)
{
  CURLUcode code = curl_url_set(url, CURLUPART_URL, text, 0);
  char *part = NULL;
  if (code != CURLUE_OK)
    return "must be a URL like https://app.example.org/hooks";
  (void)curl_url_get(url, CURLUPART_SCHEME, &part, 0);
  bool is_http = part && (strcmp(part, "http") == 0 || strcmp(part, "https") == 0);
  curl_free(part);
  if (is_http && !has_two_slashes(text))
    return "must be a URL like https://app.example.org/hooks";
  if (!is_http)
    return "must be a URL of https or http";
  if (curl_url_get(url, CURLUPART_USER, &part, 0) == CURLUE_OK ||
      curl_url_get(url, CURLUPART_PASSWORD, &part, 0) == CURLUE_OK) {
    curl_free(part);
    return "must have no name and password in it: others see them in logs";
  }
  if (curl_url_get(url, CURLUPART_FRAGMENT, &part, 0) == CURLUE_OK) {
    curl_free(part);
    return "must have no fragment (#...): a server never sees it";
  }
  return NULL;
}

const char *webclient_check_url(struct bytes value)
{
  char text[WEBCLIENT_URL_SIZE];
  if (value.len >= sizeof text)
    return "must be shorter than 2048 bytes";
  for (size_t i = 0; i < value.len; i++) {
    if (value.at[i] <= ' ' || value.at[i] >= 0x7F)
      return "must be a URL in ASCII: write other characters with percent signs, names as xn--";
  }
  if (value.len > 0)
    memcpy(text, value.at, value.len);
  text[value.len] = 0;
  CURLU *url = curl_url();
  const char *wrong = url ? check_parts(url, text) : "cannot be looked at: no memory";
  curl_url_cleanup(url);
  return wrong;
}

bool webclient_is_private(const char *text)
{
  char *scheme = NULL, *host = NULL;
  struct addr a;
  CURLU *url = curl_url();
  bool is = url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
            curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
            curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
            (strcmp(scheme, "https") == 0 || strcmp(host, "localhost") == 0 ||
             (addr_parse(bytes_of(host), &a) == 0 && addr_is_loopback(&a)));
  curl_free(scheme);
  curl_free(host);
  curl_url_cleanup(url);
  return is;
}

int webclient_check_ca(const char *option, const char *path, struct net_error *e)
{
  SSL_CTX *context = SSL_CTX_new(TLS_client_method());
  bool good = context && SSL_CTX_load_verify_locations(context, path, NULL) == 1;
  SSL_CTX_free(context);
  ERR_clear_error();
  if (good)
    return 0;
  net_error_set(e,
                "%s %s is no file of certificates in PEM form that can be read; name the one of "
                "the authority that signed the server's certificate",
                option, path);
  return -ERR_BAD;
}
