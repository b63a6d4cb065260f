FUNCTION ztkw_renew.
*"----------------------------------------------------------------------
*"*"Local Interface:
*"  IMPORTING
*"     VALUE(ALIAS) TYPE  ZTKW_ALIAS
*"     VALUE(REFUSED_SERIAL) TYPE  ZTKW_SERIAL OPTIONAL
*"     VALUE(AHEAD) TYPE  FLAG OPTIONAL
*"  EXPORTING
*"     VALUE(OUTCOME) TYPE  CHAR1
*"     VALUE(KIND) TYPE  CHAR1
*"     VALUE(MSGNO) TYPE  SYMSGNO
*"     VALUE(ARG1) TYPE  SYMSGV
*"     VALUE(ARG2) TYPE  SYMSGV
*"     VALUE(ARG3) TYPE  SYMSGV
*"     VALUE(ARG4) TYPE  SYMSGV
*"----------------------------------------------------------------------
" Renews the token of an alias in a session, and so in a LUW, of its own: DESTINATION 'NONE'. It is open to RFC,
" hence checks the authority itself and gives back no token: neither a trace of RFC nor a caller from outside sees one.
  DATA: store   TYPE REF TO zcl_tkw_store,
        renewal TYPE REF TO zcl_tkw_renewal,
        client  TYPE ztkw_clients,
        failure TYPE REF TO zcx_tkw.

  TRY.
      zcl_tkw_authority=>demand( alias    = alias
                                 activity = zcl_tkw_authority=>c_use ).
      CREATE OBJECT store.
      client = store->client( alias ).
      CREATE OBJECT renewal
        EXPORTING
          client = client.
      outcome = renewal->run( refused_serial = refused_serial
                              ahead          = ahead ).
    CATCH zcx_tkw INTO failure.
      kind = failure->kind( ).
      msgno = failure->if_t100_message~t100key-msgno.
      arg1 = failure->arg1.
      arg2 = failure->arg2.
      arg3 = failure->arg3.
      arg4 = failure->arg4.
  ENDTRY.
ENDFUNCTION.
