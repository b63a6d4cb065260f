CLASS ltcl_store DEFINITION FINAL FOR TESTING RISK LEVEL DANGEROUS DURATION SHORT.

  PRIVATE SECTION.
    CONSTANTS c_alias TYPE ztkw_alias VALUE 'ZTKW_UNIT_TEST'.

    DATA store TYPE REF TO zcl_tkw_store.

    METHODS setup.
    METHODS teardown.
    METHODS unknown_alias_is_told FOR TESTING.
    METHODS alias_of_another_system FOR TESTING RAISING cx_static_check.
    METHODS one_of_two_swaps_wins FOR TESTING.
    METHODS higher_generation_stays FOR TESTING.
    METHODS forgotten_only_as_read FOR TESTING.

    METHODS swap
      IMPORTING
        expected TYPE abap_bool
      CHANGING
        token    TYPE ztkw_tokens.
ENDCLASS.


CLASS ltcl_store IMPLEMENTATION.

  METHOD setup.
    CREATE OBJECT store.
    store->remove( c_alias ).
  ENDMETHOD.

  METHOD teardown.
    ROLLBACK WORK.
  ENDMETHOD.

  METHOD swap.
    DATA done TYPE abap_bool.

    store->swap(
      IMPORTING
        done  = done
      CHANGING
        token = token ).
    cl_abap_unit_assert=>assert_equals( act = done
                                        exp = expected ).
  ENDMETHOD.

  METHOD unknown_alias_is_told.
    DATA failure TYPE REF TO zcx_tkw_refused.

    TRY.
        store->client( c_alias ).
        cl_abap_unit_assert=>fail( 'an alias that does not exist was found' ).
      CATCH zcx_tkw_refused INTO failure.
        cl_abap_unit_assert=>assert_equals( act = failure->if_t100_message~t100key-msgno
                                            exp = '002' ).
    ENDTRY.
  ENDMETHOD.

  METHOD alias_of_another_system.
    DATA: client  TYPE ztkw_clients,
          failure TYPE REF TO zcx_tkw_refused.

    client-client_alias = c_alias.
    client-destination = 'ANY'.
    store->save_client( client ).
    client = store->client( c_alias ).
    cl_abap_unit_assert=>assert_equals( act = client-system_id
                                        exp = sy-sysid ).
    UPDATE ztkw_clients SET system_id = '???' WHERE client_alias = c_alias.
    cl_abap_unit_assert=>assert_equals( act = sy-subrc
                                        exp = 0 ).
    TRY.
        store->client( c_alias ).
        cl_abap_unit_assert=>fail( 'a copied alias was used' ).
      CATCH zcx_tkw_refused INTO failure.
        cl_abap_unit_assert=>assert_equals( act = failure->if_t100_message~t100key-msgno
                                            exp = '003' ).
    ENDTRY.
  ENDMETHOD.

  METHOD one_of_two_swaps_wins.
    DATA: first  TYPE ztkw_tokens,
          second TYPE ztkw_tokens.

    first = store->token( c_alias ).
    second = first.
    first-access_token = `first`.
    second-access_token = `second`.
    swap( EXPORTING
            expected = abap_true
          CHANGING
            token    = first ).
    swap( EXPORTING
            expected = abap_false
          CHANGING
            token    = second ).
    second = store->token( c_alias ).
    cl_abap_unit_assert=>assert_equals( act = second-access_token
                                        exp = `first` ).
    swap( EXPORTING
            expected = abap_true
          CHANGING
            token    = second ).
    swap( EXPORTING
            expected = abap_false
          CHANGING
            token    = first ).
  ENDMETHOD.

  METHOD higher_generation_stays.
    DATA token TYPE ztkw_tokens.

    token = store->token( c_alias ).
    token-generation = 5.
    swap( EXPORTING
            expected = abap_true
          CHANGING
            token    = token ).
    token-generation = 4.
    swap( EXPORTING
            expected = abap_false
          CHANGING
            token    = token ).
    token = store->token( c_alias ).
    cl_abap_unit_assert=>assert_equals( act = token-generation
                                        exp = 5 ).
  ENDMETHOD.

  METHOD forgotten_only_as_read.
    DATA: stale TYPE ztkw_tokens,
          token TYPE ztkw_tokens.

    token = store->token( c_alias ).
    swap( EXPORTING
            expected = abap_true
          CHANGING
            token    = token ).
    stale = token.
    swap( EXPORTING
            expected = abap_true
          CHANGING
            token    = token ).
    store->forget( stale ).
    token = store->token( c_alias ).
    cl_abap_unit_assert=>assert_equals( act = token-version
                                        exp = 2 ).
    store->forget( token ).
    token = store->token( c_alias ).
    cl_abap_unit_assert=>assert_initial( token-version ).
  ENDMETHOD.

ENDCLASS.
