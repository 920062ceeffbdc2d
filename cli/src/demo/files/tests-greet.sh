check "greets whoever is named" "Hello, Ada!" "$(sh greet.sh Ada)"
check "greets the world when nobody is named" "Hello, world!" "$(sh greet.sh)"
